//! etcd's own authentication: looked for before anything changes, since without a user it refuses to move a peer URL.

use crate::verify::{GoVersion, leaf_of};

use super::error::MigrateError;
use super::node::Node;
use super::observe::Observed;
use super::speak::Speaker;

/// Makes sure that member calls will be allowed. Returns what the operator should know of certificates that are users.
///
/// # Errors
/// [`MigrateError::Auth`] where authentication is on and there is no user, or one that may not change members.
pub(super) fn check(nodes: &[Node], observed: &Observed) -> Result<Vec<String>, MigrateError> {
    // One that answers, where there is one; its status alone may be what is refused.
    let mut up: Vec<_> = nodes.iter().zip(&observed.members).collect();
    up.sort_by_key(|(_, sight)| sight.status.is_none());
    let asked =
        up.into_iter().find_map(|(node, sight)| Some((node, Speaker::to(node, sight.running.as_ref()?))));
    // Whoever does not answer is told by others.
    let Some((node, speaker)) = asked else { return Ok(Vec::new()) };
    if let Err(error @ MigrateError::Auth { .. }) =
        speaker.read().map_err(|error| MigrateError::of(&node.name, error))
    {
        return Err(error);
    }
    if node.user().is_none() {
        return Ok(Vec::new());
    }
    let users = match speaker.users().map_err(|error| MigrateError::of(&node.name, error)) {
        Ok(users) => users,
        Err(MigrateError::Auth { member, what }) => {
            let what =
                format!("the user of --user-file has not the role root, which member updates need ({what})");
            return Err(MigrateError::Auth { member, what });
        }
        // Where authentication is off there may be no users to tell of.
        Err(_) => return Ok(Vec::new()),
    };
    let mut notes = Vec::new();
    for node in nodes {
        let leaf = node.pair.as_ref().and_then(|pair| leaf_of(&pair.cert_pem, GoVersion::NEWEST));
        if let Some(name) = leaf.map(|leaf| leaf.common_name).filter(|name| users.contains(name)) {
            notes.push(format!(
                "the pair of {} has the CN {name}, which is a user of etcd's: whoever holds its key is that user, without \
                 a password",
                node.name
            ));
        }
    }
    if !users.is_empty() {
        notes.push(format!(
            "etcd's authentication: with client certificates demanded, a certificate whose CN is a user's name is that \
             user ({})",
            users.join(", ")
        ));
    }
    Ok(notes)
}

//! The user of etcd's own authentication, from a file that only its owner reads.

use std::path::Path;

use zeroize::Zeroizing;

use super::super::Failure;
use crate::etcd::client::User;
use crate::files;
use crate::limits;

/// Reads `user:password` from a file's first line.
pub(super) fn read(path: &Path) -> Result<User, Failure> {
    let shown = path.display();
    let hint = "its first line is USER:PASSWORD, and it is 0600";
    let unreadable = |what: String| Failure::usage("unreadable", what).hint(hint);
    let image = files::read_input(path, limits::USER).map_err(|error| unreadable(error.to_string()))?;
    let bytes = Zeroizing::new(image.bytes);
    if image.mode.bits() & 0o077 != 0 {
        let message = format!("{shown} holds a password, and others may read it ({})", image.mode);
        return Err(Failure::usage("user-file-readable", message).hint(format!("chmod 600 {shown}")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| unreadable(format!("{shown} is not UTF-8")))?;
    match text.lines().next().unwrap_or_default().split_once(':') {
        Some((name, password)) if !name.is_empty() && !password.is_empty() => {
            Ok(User { name: name.to_owned(), password: Zeroizing::new(password.to_owned()) })
        }
        _ => Err(Failure::usage("bad-user-file", format!("{shown} has no USER:PASSWORD")).hint(hint)),
    }
}

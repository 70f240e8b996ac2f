//! `--node` and `--cluster`: members as they stand.

use std::path::Path;
use std::sync::Arc;

use super::super::reach::{self, connected, with_unit};
use super::super::{Context, Failure};
use super::VerifyArgs;
use super::settings::Settings;
use crate::host::Host;
use crate::host::local::Local;
use crate::host::ssh::SshOptions;
use crate::inventory::Inventory;
use crate::survey::{self, Dial, Member, Place, SurveyError, Terms};
use crate::verify::report::{Judged, Part};
use crate::verify::{Code, Finding, Judgement, Request, Role, Severity, Verdict};

/// The members that were looked at.
pub(super) struct Members {
    all: Vec<Member>,
    /// What is said of those that could not be looked at.
    unseen: Vec<Judged>,
    terms: Terms,
}

impl From<SurveyError> for Failure {
    fn from(error: SurveyError) -> Self {
        Self::no(error.code(), error.to_string()).hint(error.hint())
    }
}

/// Looks at all members that were asked for, at once.
pub(super) fn look(context: &Context, settings: &Settings<'_>) -> Result<Members, Failure> {
    let args = settings.args;
    let read = |path: &Path| crate::verify::target::read(path).ok().map(|bytes| bytes.to_vec());
    let terms = Terms {
        at: args.at,
        go: args.go(),
        godebug: args.godebug.clone(),
        ca: settings.ca.as_ref().map(|ca| ca.to_vec()),
        spare_ca: read(&settings.pki_dir.join("ca.pem")),
        issuer: settings.issuer.clone(),
    };
    let wanted = wanted(context, args)?;
    let all = std::thread::scope(|scope| {
        let look = |work: &Wanted<'_>| Ok(survey::look(&work.place()?, &terms)?);
        let threads: Vec<_> = wanted.iter().map(|work| scope.spawn(move || look(work))).collect();
        let done =
            threads.into_iter().map(|thread| thread.join().expect("a look at a member does not panic"));
        done.collect::<Vec<Result<Member, Failure>>>()
    });
    let mut members = Members { all: Vec::new(), unseen: Vec::new(), terms };
    let nobody = all.iter().all(Result::is_err);
    for (work, seen) in wanted.iter().zip(all) {
        match seen {
            Ok(member) => members.all.push(member),
            // One that cannot be looked at must not hide the others; but where there are none, it is the answer.
            Err(failure) if nobody => return Err(failure),
            Err(failure) => members.unseen.push(unseen(work.name(), &failure)),
        }
    }
    Ok(members)
}

/// The result of a member that could not be looked at.
fn unseen(name: &str, failure: &Failure) -> Judged {
    let finding = Finding {
        code: Code::Unreachable,
        severity: Severity::Error,
        message: format!("it could not be looked at: {}", failure.message),
        etcd_says: None,
        fix: failure.hint.clone(),
    };
    Judged {
        source: "etcd".to_owned(),
        member: Some(name.to_owned()),
        part: Part::Configuration,
        judgement: Judgement { verdict: Verdict::Reject, findings: vec![finding], leaf: None },
    }
}

/// A member to look at, not yet reached.
struct Wanted<'a> {
    context: &'a Context,
    args: &'a VerifyArgs,
    options: SshOptions,
    what: What,
}

enum What {
    Local,
    Node(String),
    Member(Arc<Inventory>, usize),
}

fn wanted<'a>(context: &'a Context, args: &'a VerifyArgs) -> Result<Vec<Wanted<'a>>, Failure> {
    let mut options = args.reach.options(false);
    let mut all: Vec<What> = Vec::new();
    if let Some(path) = &args.cluster {
        let inventory = Arc::new(Inventory::load(path)?);
        if inventory.members.is_empty() {
            return Err(Failure::no("no-members", format!("{} names no member", path.display()))
                .hint("add a [[member]] with its name and ips"));
        }
        options.become_root |= inventory.cluster.become_root;
        all.extend((0..inventory.members.len()).map(|at| What::Member(Arc::clone(&inventory), at)));
    }
    all.extend(args.node.iter().map(|node| match node.as_str() {
        "local" => What::Local,
        node => What::Node(node.to_owned()),
    }));
    Ok(all.into_iter().map(|what| Wanted { context, args, options: options.clone(), what }).collect())
}

impl Wanted<'_> {
    fn name(&self) -> &str {
        match &self.what {
            What::Local => "local",
            What::Node(node) => node.rsplit_once('@').map_or(node.as_str(), |(_, host)| host),
            What::Member(inventory, at) => &inventory.members[*at].name,
        }
    }

    fn place(&self) -> Result<Place, Failure> {
        let unit = self.args.unit.as_deref();
        let name = self.name().to_owned();
        let (host, service) = match &self.what {
            What::Local => {
                let host: Arc<dyn Host> = Arc::new(Local::named("local"));
                with_unit(host, unit)?
            }
            What::Node(node) => connected(self.context, &name, node, &self.options, unit)?,
            What::Member(inventory, at) => {
                reach::member(self.context, inventory, &inventory.members[*at], &self.options)?
            }
        };
        Ok(Place { name, host, service })
    }
}

impl Members {
    pub(super) fn judge(&self, settings: &Settings<'_>) -> Vec<Judged> {
        let seen = self.all.iter().flat_map(|member| member.judge(&self.terms));
        let mut judged: Vec<Judged> = seen.chain(self.unseen.iter().cloned()).collect();
        for one in &mut judged {
            let member = self.all.iter().find(|member| one.member.as_ref() == Some(&member.name));
            let ca = member.and_then(Member::trusted_ca).or(self.terms.spare_ca.as_deref());
            let trusted = Request {
                issuer: settings.issuer.as_deref(),
                ..Request::new(&[], ca.unwrap_or_default(), Role::Peer)
            };
            let soon = settings.expiry(one.judgement.leaf.as_ref(), &trusted);
            one.judgement.findings.extend(soon);
            one.judgement.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        }
        judged
    }

    pub(super) fn dials(&self) -> Vec<Dial> {
        survey::dials(&self.all)
    }

    /// Whether etcd's authentication is on: what a client certificate's common name is then.
    pub(super) fn name_users(&self, judged: &mut [Judged]) {
        if !self.all.iter().any(|member| member.authentication == Some(true)) {
            return;
        }
        for one in judged.iter_mut().filter(|one| one.part == Part::Role(Role::Client)) {
            let Some(leaf) = &one.judgement.leaf else { continue };
            let message = match leaf.common_name.as_str() {
                "" => "authentication is on there, and it has no common name: it is no user".to_owned(),
                name => format!(
                    "authentication is on there: whoever shows it is the user {name:?}, without a password"
                ),
            };
            one.judgement.findings.retain(|finding| finding.code != Code::CommonNameUser);
            one.judgement.findings.push(Finding {
                code: Code::CommonNameUser,
                severity: Severity::Warning,
                message,
                etcd_says: None,
                fix: Some("issue it under a user's name on purpose, or log in with --user".into()),
            });
        }
    }
}

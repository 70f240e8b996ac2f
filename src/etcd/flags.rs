//! etcd's flags: their variables, their defaults, and how Go's `flag` package reads a command line of them.

use std::collections::BTreeMap;

/// The variable of a flag: `listen-client-urls` is `ETCD_LISTEN_CLIENT_URLS`.
pub fn env_name(flag: &str) -> String {
    format!("ETCD_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// The flag of a variable, or `None` where the variable is not etcd's.
pub fn flag_name(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix("ETCD_").filter(|rest| !rest.is_empty())?;
    // FlagToEnv is not one to one: only a name that maps back is a flag's.
    let flag = rest.to_ascii_lowercase().replace('_', "-");
    (env_name(&flag) == variable).then_some(flag)
}

/// etcd's default for a flag, the same in 3.3 to 3.5; `None` where it is nothing, or depends on the name or the version
/// (`enable-v2` is on in 3.3 only, `pre-vote` from 3.5).
pub fn default_of(flag: &str) -> Option<&'static str> {
    Some(match flag {
        "name" => "default",
        "listen-peer-urls" | "initial-advertise-peer-urls" => "http://localhost:2380",
        "listen-client-urls" | "advertise-client-urls" => "http://localhost:2379",
        "initial-cluster-state" => "new",
        "initial-cluster-token" => "etcd-cluster",
        "strict-reconfig-check" | "initial-election-tick-advance" | "enable-grpc-gateway" => "true",
        "heartbeat-interval" => "100",
        "election-timeout" => "1000",
        "proxy" => "off",
        "auto-tls" | "client-cert-auth" | "force-new-cluster" | "peer-auto-tls" | "peer-client-cert-auth" => {
            "false"
        }
        _ => return None,
    })
}

/// Whether a flag is a boolean one, which never takes the next argument as its value (3.2 to 3.6).
pub fn is_boolean(flag: &str) -> bool {
    matches!(
        flag,
        "auto-tls"
            | "client-cert-auth"
            | "debug"
            | "discovery-insecure-skip-tls-verify"
            | "discovery-insecure-transport"
            | "enable-grpc-gateway"
            | "enable-log-rotation"
            | "enable-pprof"
            | "enable-v2"
            | "experimental-compact-hash-check-enabled"
            | "experimental-enable-distributed-tracing"
            | "experimental-enable-lease-checkpoint"
            | "experimental-enable-lease-checkpoint-persist"
            | "experimental-initial-corrupt-check"
            | "experimental-memory-mlock"
            | "experimental-peer-skip-client-san-verification"
            | "experimental-stop-grpc-service-on-defrag"
            | "experimental-txn-mode-write-with-shared-buffer"
            | "force-new-cluster"
            | "h"
            | "help"
            | "initial-election-tick-advance"
            | "memory-mlock"
            | "peer-auto-tls"
            | "peer-client-cert-auth"
            | "peer-skip-client-san-verification"
            | "pre-vote"
            | "socket-reuse-address"
            | "socket-reuse-port"
            | "strict-reconfig-check"
            | "unsafe-no-fsync"
            | "version"
    )
}

/// Flags as Go's `flag` package takes them: one dash or two, `=value` or the next argument, the last of duplicates.
pub(super) fn parse_flags(arguments: &[String]) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut found = BTreeMap::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let stray = || ConfigError::Argument { text: argument.clone() };
        let text = argument.strip_prefix('-').filter(|text| !text.is_empty()).ok_or_else(stray)?;
        let text = text.strip_prefix('-').unwrap_or(text);
        if text.is_empty() {
            // `--` ends the flags; etcd takes no arguments.
            match rest.next() {
                Some(next) => return Err(ConfigError::Argument { text: next.clone() }),
                None => break,
            }
        }
        if text.starts_with(['-', '=']) {
            return Err(stray());
        }
        let (flag, value) = match text.split_once('=') {
            Some((flag, value)) => (flag, value.to_owned()),
            None if is_boolean(text) => (text, "true".to_owned()),
            None => {
                let value = rest.next().ok_or_else(|| ConfigError::NoValue { flag: text.to_owned() })?;
                (text, value.clone())
            }
        };
        found.insert(flag.to_owned(), value);
    }
    Ok(found)
}

/// A command line that etcd would not start a member with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Something that is no flag.
    #[error("{text:?} is not a flag of etcd")]
    Argument {
        /// The argument.
        text: String,
    },
    /// There is no program.
    #[error("the command line is empty")]
    NoProgram,
    /// The last flag has no value.
    #[error("the flag --{flag} needs a value")]
    NoValue {
        /// The flag, without dashes.
        flag: String,
    },
    /// A proxy, not a member.
    #[error("this is `etcd {name}`, not a member")]
    Subcommand {
        /// `gateway` or `grpc-proxy`.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_variables_name_each_other() {
        assert_eq!(env_name("listen-client-urls"), "ETCD_LISTEN_CLIENT_URLS");
        assert_eq!(flag_name("ETCD_LISTEN_CLIENT_URLS").as_deref(), Some("listen-client-urls"));
        assert_eq!(flag_name("ETCDCTL_API"), None);
        assert_eq!(flag_name("ETCD_"), None);
        assert_eq!(flag_name("ETCD_name"), None);
    }
}

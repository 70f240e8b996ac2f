//! What is interrupted: each command that writes, in the ways in which it writes.

use crate::bench::Bench;
use crate::run::interrupt;

/// The passphrase of every file that needs one.
pub(crate) const PASSPHRASE: &str = "sesame";

/// What the same command says once its work is done and reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It may be run any number of times and leaves the same.
    Same,
    /// It never overwrites: "already exists", exit 1.
    Exists,
    /// It does it anew, and keeps what was there: a second renewal.
    Anew,
}

/// A command, from where it starts.
pub(crate) struct Scenario {
    /// The command, as the command table calls it.
    pub(crate) command: &'static str,
    /// All its words.
    pub(crate) args: &'static [&'static str],
    /// Makes what it starts from.
    pub(crate) prepare: fn(&Bench),
    /// What it says when it is run once more.
    pub(crate) again: Again,
    /// Another command that writes to the same directory: it must finish or undo what was left.
    pub(crate) other: Option<&'static [&'static str]>,
}

const OTHER: Option<&[&str]> = Some(&["issue", "bystander"]);
const OTHER_INSTALL: Option<&[&str]> =
    Some(&["install", "server2", "--to", "{work}/node/ssl", "--owner", "{me}"]);

macro_rules! scenarios {
    ($($name:ident: $scenario:expr,)*) => {
        /// Every scenario.
        pub(crate) fn all() -> Vec<Scenario> {
            vec![$($scenario),*]
        }

        $(
            #[test]
            fn $name() {
                interrupt(stringify!($name), &$scenario);
            }
        )*
    };
}

/// A command on a directory with a CA.
const fn with_ca(command: &'static str, args: &'static [&'static str], again: Again) -> Scenario {
    Scenario { command, args, prepare: ca, again, other: OTHER }
}

scenarios! {
    init_ca: Scenario {
        command: "init-ca",
        args: &["init-ca"],
        prepare: |_| {},
        again: Again::Exists,
        other: OTHER,
    },
    init_ca_with_an_intermediate: Scenario {
        command: "init-ca",
        args: &["init-ca", "--intermediate"],
        prepare: |_| {},
        again: Again::Exists,
        other: OTHER,
    },
    init_ca_renews_an_intermediate: Scenario {
        command: "init-ca",
        args: &["init-ca", "--intermediate", "--renew"],
        prepare: |bench| {
            bench.done(&["init-ca", "--intermediate"]);
            bench.done(&["issue", "before"]);
        },
        again: Again::Anew,
        other: OTHER,
    },
    import_ca: Scenario {
        command: "import-ca",
        args: &["import-ca", "--cert", "source/ca.pem", "--key", "source/ca-key.pem"],
        prepare: |bench| bench.done(&["--pki-dir", "source", "init-ca"]),
        again: Again::Exists,
        other: OTHER,
    },
    import_ca_with_its_root: Scenario {
        command: "import-ca",
        args: &[
            "import-ca",
            "--cert",
            "source/issuing-ca.pem",
            "--key",
            "source/issuing-ca-key.pem",
            "--root",
            "source/ca.pem",
        ],
        prepare: |bench| bench.done(&["--pki-dir", "source", "init-ca", "--intermediate"]),
        again: Again::Exists,
        other: OTHER,
    },
    issue_one: with_ca("issue", &["issue", "server1"], Again::Exists),
    issue_two: with_ca("issue", &["issue", "server1", "server2"], Again::Exists),
    issue_with_force: Scenario {
        command: "issue",
        args: &["issue", "server1", "--force"],
        prepare: pair,
        again: Again::Anew,
        other: OTHER,
    },
    issue_from_an_inventory: Scenario {
        command: "issue",
        args: &["issue", "--from", "cluster.toml"],
        prepare: |bench| {
            ca(bench);
            bench.write("cluster.toml", CLUSTER);
        },
        again: Again::Same,
        other: OTHER,
    },
    issue_from_an_inventory_that_has_changed: Scenario {
        command: "issue",
        args: &["issue", "--from", "cluster.toml", "--fix"],
        prepare: |bench| {
            ca(bench);
            bench.write("cluster.toml", CLUSTER);
            bench.done(&["issue", "--from", "cluster.toml"]);
            bench.write("cluster.toml", &CLUSTER.replace("172.16.0.10", "172.16.1.10"));
        },
        again: Again::Same,
        other: OTHER,
    },
    csr: with_ca("csr", &["csr", "server1"], Again::Same),
    csr_without_a_ca: Scenario {
        command: "csr",
        args: &["csr", "server1"],
        prepare: |_| {},
        again: Again::Same,
        other: None,
    },
    csr_of_a_key_that_is_there: Scenario {
        command: "csr",
        args: &["csr", "server1"],
        prepare: |bench| {
            ca(bench);
            bench.done(&["csr", "server1"]);
            std::fs::remove_file(bench.work().join("pki/server1.csr")).unwrap();
        },
        again: Again::Same,
        other: OTHER,
    },
    sign: Scenario {
        command: "sign",
        args: &["sign", "node/server1.csr", "--trust-csr-names"],
        prepare: request,
        again: Again::Exists,
        other: OTHER,
    },
    sign_with_force: Scenario {
        command: "sign",
        args: &["sign", "node/server1.csr", "--trust-csr-names", "--force"],
        prepare: |bench| {
            request(bench);
            bench.done(&["sign", "node/server1.csr", "--trust-csr-names"]);
        },
        again: Again::Anew,
        other: OTHER,
    },
    renew_one: Scenario {
        command: "renew",
        args: &["renew", "server1"],
        prepare: pair,
        again: Again::Anew,
        other: OTHER,
    },
    renew_all: Scenario {
        command: "renew",
        args: &["renew", "--all"],
        prepare: pairs,
        again: Again::Anew,
        other: OTHER,
    },
    renew_and_keep_the_key: Scenario {
        command: "renew",
        args: &["renew", "server1", "--keep-key"],
        prepare: pair,
        again: Again::Anew,
        other: OTHER,
    },
    revoke_one: Scenario {
        command: "revoke",
        args: &["revoke", "server1"],
        prepare: pairs,
        again: Again::Same,
        other: OTHER,
    },
    revoke_two: Scenario {
        command: "revoke",
        args: &["revoke", "server1", "server2"],
        prepare: pairs,
        again: Again::Same,
        other: OTHER,
    },
    crl_first: Scenario {
        command: "crl",
        args: &["crl"],
        prepare: |bench| {
            pair(bench);
            bench.done(&["revoke", "server1"]);
        },
        again: Again::Same,
        other: OTHER,
    },
    crl_second: Scenario {
        command: "crl",
        args: &["crl"],
        prepare: |bench| {
            pairs(bench);
            bench.done(&["revoke", "server1"]);
            bench.done(&["crl"]);
            bench.done(&["revoke", "server2"]);
        },
        again: Again::Same,
        other: OTHER,
    },
    list_rebuild: Scenario {
        command: "list",
        args: &["list", "--rebuild"],
        prepare: |bench| {
            pairs(bench);
            std::fs::remove_file(bench.work().join("pki/ledger.jsonl")).unwrap();
        },
        again: Again::Same,
        other: None,
    },
    export_p12: Scenario {
        command: "export",
        args: &["export", "server1", "--format", "p12", "--passphrase-file", "secret"],
        prepare: |bench| {
            pair(bench);
            bench.write("secret", PASSPHRASE);
        },
        again: Again::Exists,
        other: None,
    },
    export_pem: Scenario {
        command: "export",
        args: &["export", "server1", "--format", "pem-bundle"],
        prepare: pair,
        again: Again::Exists,
        other: None,
    },
    export_pem_with_force: Scenario {
        command: "export",
        args: &["export", "server1", "--format", "pem-bundle", "--force"],
        prepare: |bench| {
            pair(bench);
            bench.done(&["export", "server1", "--format", "pem-bundle"]);
            bench.done(&["renew", "server1"]);
        },
        again: Again::Same,
        other: None,
    },
    export_secret: Scenario {
        command: "export",
        args: &["export", "server1", "--format", "k8s-secret"],
        prepare: pair,
        again: Again::Exists,
        other: None,
    },
    install: Scenario {
        command: "install",
        args: &["install", "server1", "--to", "{work}/node/ssl", "--owner", "{me}"],
        prepare: pairs,
        again: Again::Same,
        other: OTHER_INSTALL,
    },
    install_for_another_user: Scenario {
        command: "install",
        args: &["install", "server1", "--to", "{work}/node/ssl", "--owner", "2379:2380", "--dir-mode", "0750"],
        prepare: pairs,
        again: Again::Same,
        other: None,
    },
    install_a_renewed_pair: Scenario {
        command: "install",
        args: &["install", "server1", "--to", "{work}/node/ssl", "--owner", "{me}"],
        prepare: |bench| {
            pairs(bench);
            bench.done(&["install", "server1", "--to", "{work}/node/ssl", "--owner", "{me}"]);
            bench.done(&["renew", "server1"]);
        },
        again: Again::Same,
        other: OTHER_INSTALL,
    },
    install_into_a_tree: Scenario {
        command: "install",
        args: &["install", "server1", "--root", "tree", "--owner", "{me}", "--trust-store"],
        prepare: |bench| {
            pair(bench);
            bench.write("tree/etc/ca-certificates.conf", "");
            bench.done(&["install", "server1", "--root", "tree", "--owner", "{me}"]);
            bench.done(&["renew", "server1"]);
        },
        again: Again::Same,
        other: None,
    },
    man: Scenario {
        command: "man",
        args: &["man", "--dir", "share/man1"],
        prepare: |_| {},
        again: Again::Same,
        other: None,
    },
}

fn ca(bench: &Bench) {
    bench.done(&["init-ca"]);
}

fn pair(bench: &Bench) {
    ca(bench);
    bench.done(&["issue", "server1"]);
}

fn pairs(bench: &Bench) {
    ca(bench);
    bench.done(&["issue", "server1", "server2"]);
}

fn request(bench: &Bench) {
    ca(bench);
    bench.done(&["--pki-dir", "node", "csr", "server1"]);
}

const CLUSTER: &str = r#"
[[member]]
name = "server1"
ips = ["172.16.0.101"]
[[member]]
name = "server2"
ips = ["172.16.0.102"]
[[client]]
name = "client1"
[[proxy]]
name = "proxy1"
ips = ["172.16.0.9"]
kind = "grpc"
"#;

//! Names whose files would be the tool's own are for no certificate, wherever they come from.

use crate::support::{Bench, openssl, text};

/// Every name whose NAME.pem, NAME-key.pem or NAME.csr is the tool's own, or its directory's or lock's.
const RESERVED: [&str; 13] = [
    "ca",
    "CA",
    "root-ca",
    "issuing-ca",
    "Issuing-CA",
    "crl",
    "CRL",
    "ledger",
    "lock",
    "templates",
    "ca-key",
    "x-key",
    "x.pem",
];

#[test]
fn a_reserved_name_is_refused_wherever_it_comes_from() {
    let bench = Bench::new();
    let csr = bench.root().join("request.csr");
    let toml = bench.root().join("cluster.toml");
    let before = bench.snapshot();
    for name in RESERVED {
        let quoted = format!("NAME {name:?}: ");
        bench.run(&["issue", name]).refused(2, &quoted);
        bench.run(&["csr", name]).refused(2, &quoted);
        for kind in ["member", "client"] {
            std::fs::write(&toml, format!("# names\n[[{kind}]]\nname = {name:?}\n")).unwrap();
            bench
                .run(&["issue", "--from", text(&toml)])
                .refused(2, &format!("cluster.toml:3: {kind}.name: {name:?}: "));
        }
        openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "/dev/null",
            "-subj",
            "/CN=node1",
            "-out",
            text(&csr),
        ]);
        bench.run(&["sign", text(&csr), "--name", name]).refused(2, &quoted);
    }
    for name in ["crl", "Ledger", "lock", "templates"] {
        openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "/dev/null",
            "-subj",
            &format!("/CN={name}"),
            "-out",
            text(&csr),
        ]);
        let ran = bench.run(&["sign", text(&csr)]).refused(2, "this name is reserved");
        assert!(
            ran.err.contains(&format!("the request's common name; choose another with --name etcd-{name}")),
            "{ran:?}"
        );
    }
    assert_eq!(bench.snapshot(), before);
    // Names that only look like them are names.
    bench.run(&["issue", "ca1", "crl1", "locks", "etcd-crl", "ledger.example.com"]).ok();
}

#[test]
fn a_pair_of_such_a_name_from_before_is_shown_exported_and_revoked_but_never_overwritten() {
    let bench = Bench::new();
    bench.run(&["issue", "old", "--profile", "client"]).ok();
    for file in [".pem", "-key.pem"] {
        std::fs::rename(bench.file(&format!("old{file}")), bench.file(&format!("crl{file}"))).unwrap();
    }
    let ledger = std::fs::read_to_string(bench.file("ledger.jsonl")).unwrap();
    std::fs::write(bench.file("ledger.jsonl"), ledger.replace("\"old\"", "\"crl\"")).unwrap();
    let pair = |file: &str| std::fs::read(bench.file(file)).unwrap();
    let before = (pair("crl.pem"), pair("crl-key.pem"));

    let ran = bench.run(&["list"]).ok();
    assert!(ran.out.contains("crl") && ran.out.contains("valid"), "{ran:?}");
    bench.run(&["export", "crl", "--format", "pem-bundle"]).ok();
    bench.run(&["issue", "crl", "--force"]).refused(2, "this name is reserved");
    bench.run(&["renew", "crl"]).refused(2, "this name is reserved");
    let ran = bench.run(&["renew", "--all"]).ok();
    assert!(ran.err.contains("warning: crl is not renewed"), "{ran:?}");
    let ran = bench.run(&["crl"]).refused(1, "crl.pem is a certificate, not a revocation list");
    assert!(ran.err.contains("issue it under another one"), "{ran:?}");
    assert_eq!((pair("crl.pem"), pair("crl-key.pem")), before);
    bench.run(&["revoke", "crl"]).ok();
    // As the hint says: the list has its place again.
    std::fs::remove_file(bench.file("crl.pem")).unwrap();
    std::fs::remove_file(bench.file("crl-key.pem")).unwrap();
    bench.run(&["crl"]).ok();
    let list = openssl(&["crl", "-in", text(&bench.file("crl.pem")), "-noout", "-text"]);
    assert_eq!(list.matches("Serial Number").count(), 1, "{list}");
}

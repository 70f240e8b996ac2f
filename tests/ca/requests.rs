//! What a request may ask for: so many names, a key that everybody can use, a size that a handshake carries.

use std::io::Write;

use crate::common::skipped;
use crate::matrix::go_handshakes;
use crate::members::{curl, start_with};
use crate::support::{Bench, belong_together, openssl, text};

/// A request for `count` names, made by openssl with a key of `kind`.
fn request(bench: &Bench, kind: &[&str], count: usize) -> String {
    let (key, config, csr) =
        (bench.root().join("k.pem"), bench.root().join("req.cnf"), bench.root().join("r.csr"));
    let mut args = vec!["genpkey", "-out", text(&key)];
    args.extend(kind);
    openssl(&args);
    let names: String = (1..=count).map(|at| format!("DNS.{at}=n{at}.example.com\n")).collect();
    let extension = if count > 0 { format!("[e]\nsubjectAltName=@n\n[n]\n{names}") } else { "[e]\n".into() };
    std::fs::write(
        &config,
        format!("[req]\ndistinguished_name=d\nreq_extensions=e\nprompt=no\n[d]\nCN=foreign\n{extension}"),
    )
    .unwrap();
    openssl(&["req", "-new", "-key", text(&key), "-config", text(&config), "-out", text(&csr)]);
    text(&csr).to_owned()
}

const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

#[test]
fn a_request_for_a_hundred_names_is_signed_and_one_for_more_is_not() {
    let bench = Bench::new();
    let csr = request(&bench, P256, 96);
    bench.run(&["sign", &csr, "--trust-csr-names"]).ok();
    openssl(&[
        "verify",
        "-x509_strict",
        "-CAfile",
        text(&bench.file("ca.pem")),
        text(&bench.file("foreign.pem")),
    ]);
    let before = bench.snapshot();
    for count in [101, 1000] {
        let csr = request(&bench, P256, count);
        let words = format!("has {count} names, and at most 100 are signed from a request");
        let ran = bench.run(&["sign", &csr, "--trust-csr-names", "--force"]).refused(1, &words);
        assert!(!ran.err.contains("n7.example.com"), "the names are not listed first: {ran:?}");
    }
    let csr = request(&bench, P256, 10_000);
    bench
        .run(&["sign", &csr, "--trust-csr-names"])
        .refused(2, "and certificate requests are read up to 128 KiB");
    assert_eq!(bench.snapshot(), before);

    // `csr` refuses on the node already.
    let names: Vec<String> = (0..101).map(|at| format!("n{at}.example.com")).collect();
    let mut args = vec!["csr", "node1"];
    args.extend(names.iter().flat_map(|name| ["--dns", name]));
    bench.run(&args).refused(1, "names, and at most 100 are signed from a request");
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn rsa_keys_are_signed_with_a_sound_exponent_and_length_only() {
    let bench = Bench::new();
    let csr = request(&bench, &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], 0);
    bench.run(&["sign", &csr]).ok();
    assert!(belong_together(&bench.file("foreign.pem"), &bench.root().join("k.pem")));
    let before = bench.snapshot();
    for (options, what) in [
        (
            &["-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"][..],
            "rsa2048 with the public exponent 3 ",
        ),
        (
            &["-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:257"],
            "the public exponent 257 ",
        ),
        (
            &["-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:4294967297"],
            "the public exponent 4294967297 ",
        ),
        (&["-pkeyopt", "rsa_keygen_bits:1024"], "rsa1024 "),
        (&["-pkeyopt", "rsa_keygen_bits:2047"], "rsa2047 "),
    ] {
        let kind = [&["-algorithm", "RSA"], options].concat();
        let csr = request(&bench, &kind, 0);
        let ran = bench.run(&["sign", &csr, "--force"]).refused(1, what);
        assert!(ran.err.contains("2048 to 8192 bits with the exponent 65537"), "{ran:?}");
    }
    // An even exponent is no RSA key at all; no tool makes one, so the bytes are changed.
    let csr = request(&bench, &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], 0);
    let der = bench.root().join("r.der");
    openssl(&["req", "-in", &csr, "-outform", "der", "-out", text(&der)]);
    let mut bytes = std::fs::read(&der).unwrap();
    let at = bytes.windows(5).position(|five| five == [2, 3, 1, 0, 1]).unwrap();
    bytes[at + 4] = 2;
    std::fs::write(&der, bytes).unwrap();
    bench.run(&["sign", text(&der), "--name", "foreign", "--force"]).refused(1, "the public exponent 65538 ");
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn more_names_than_a_handshake_carries_are_not_issued() {
    let bench = Bench::new();
    let before = bench.snapshot();
    let issue = |names: &[String]| {
        let mut args = vec!["issue", "server1"];
        args.extend(names.iter().flat_map(|name| ["--dns", name]));
        bench.run(&args)
    };
    let short: Vec<String> = (0..10_000).map(|at| format!("n{at}.example.com")).collect();
    issue(&short).refused(1, "the certificate server1 has 10000 names, and at most 1000 are issued");
    issue(&short[..1000]).refused(1, "has 1004 names");
    let label = "l".repeat(60);
    let long: Vec<String> = (0..200).map(|at| format!("n{at}.{label}.{label}.{label}.example")).collect();
    issue(&long).refused(1, "bytes, and at most 32 KiB are issued");
    let list: Vec<String> = short.iter().map(|name| format!("{name:?}")).collect();
    let toml = bench.root().join("cluster.toml");
    std::fs::write(&toml, format!("[[member]]\nname = \"server1\"\ndns = [{}]\n", list.join(", "))).unwrap();
    bench.run(&["issue", "--from", text(&toml)]).refused(
        2,
        "cluster.toml:3: member.dns: 10000 addresses and names, and a certificate has at most 1000",
    );
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn the_largest_certificate_that_is_issued_works_in_etcd_and_go() {
    let bench = Bench::empty();
    // An intermediate with as many constraints as a CA may have travels with it.
    let mut args = vec!["init-ca", "--intermediate", "--permit-ip", "127.0.0.0/8", "--permit-ip", "::1/128"];
    let domains: Vec<String> = (0..198).map(|at| format!("domain{at}.example")).collect();
    args.extend(domains.iter().flat_map(|domain| ["--permit-dns", domain]));
    bench.run(&args).ok();
    // 995 names of 27 bytes each and the four of the profile: just below both limits.
    let names: Vec<String> =
        (0..995).map(|at| format!("n{at:03}-abcde.domain{:02}.example", at % 90 + 10)).collect();
    let mut args = vec!["issue", "server1", "--ip", "127.0.0.1"];
    args.extend(names.iter().flat_map(|name| ["--dns", name]));
    bench.run(&args).ok();
    let file = std::fs::metadata(bench.file("server1.pem")).unwrap().len();
    assert!(file > 45_000, "{file} bytes");

    let etcd = start_with(&bench, "server1", &[]);
    curl(
        &bench,
        &etcd,
        "server1",
        "/health",
        &["--retry", "40", "--retry-connrefused", "--retry-delay", "1"],
    )
    .ok();
    if std::process::Command::new("go").arg("version").output().is_err() {
        return skipped("go is not installed");
    }
    // The other side of the handshakes.
    bench.run(&["issue", "other", "--ip", "127.0.0.1"]).ok();
    let mut line = Vec::new();
    let (ca, cert, key) = (bench.file("ca.pem"), bench.file("server1.pem"), bench.file("server1-key.pem"));
    writeln!(line, "{} {} {} both n001-abcde.domain11.example", text(&ca), text(&cert), text(&key)).unwrap();
    let ran = go_handshakes(&String::from_utf8(line).unwrap());
    assert_eq!(ran.out, "1 accepted\n", "{ran:?}");
}

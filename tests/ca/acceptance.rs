//! OpenSSL accepts what we make: every profile with every kind of key under every kind of CA key.

use crate::support::{Bench, belong_together, openssl, text};

#[test]
fn openssl_accepts_every_profile_and_key_under_every_ca_key() {
    for ca_key in ["p256", "p384", "ed25519", "rsa2048"] {
        let bench = Bench::empty();
        bench.run(&["init-ca", "--key-type", ca_key]).ok();
        for key in ["p256", "p384", "ed25519", "rsa2048"] {
            for profile in ["server", "peer", "client", "proxy"] {
                let name = format!("{profile}-{key}");
                bench.run(&["issue", &name, "--profile", profile, "--key-type", key]).ok();
                let cert = bench.file(&format!("{name}.pem"));
                let purposes: &[&str] =
                    if profile == "client" { &["sslclient"] } else { &["sslserver", "sslclient"] };
                for purpose in purposes {
                    let ca = bench.file("ca.pem");
                    openssl(&[
                        "verify",
                        "-x509_strict",
                        "-purpose",
                        purpose,
                        "-CAfile",
                        text(&ca),
                        text(&cert),
                    ]);
                }
                assert!(belong_together(&cert, &bench.file(&format!("{name}-key.pem"))), "{name}");
            }
        }
    }
}

#[test]
fn dates_beyond_2049_and_serials_are_as_rfc_5280_wants_them() {
    let bench = Bench::empty();
    bench.run(&["init-ca", "--days", "36000"]).ok();
    bench.run(&["issue", "server1", "--days", "12000"]).ok();
    let parsed = openssl(&["asn1parse", "-in", text(&bench.file("server1.pem"))]);
    assert!(parsed.contains("UTCTIME") && parsed.contains("GENERALIZEDTIME"), "{parsed}");
    openssl(&[
        "verify",
        "-x509_strict",
        "-CAfile",
        text(&bench.file("ca.pem")),
        text(&bench.file("server1.pem")),
    ]);
    let serial = openssl(&["x509", "-in", text(&bench.file("server1.pem")), "-noout", "-serial"]);
    let digits = serial.trim().trim_start_matches("serial=");
    assert_eq!(digits.len(), 40, "20 bytes: {serial}");
    assert!(digits.as_bytes()[0] < b'8', "positive: {serial}");
}

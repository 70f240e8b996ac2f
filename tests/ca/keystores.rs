//! PKCS#12 files by their passphrase, as openssl and Java read them.

use std::process::Command;

use crate::common::skipped;
use crate::support::{Bench, Ran, mode, openssl, text};

/// Runs keytool where it knows that arguments and files are UTF-8.
fn keytool(args: &[&str]) -> Ran {
    let utf8 = ["-J-Dfile.encoding=UTF-8", "-J-Dsun.jnu.encoding=UTF-8"];
    Command::new("keytool").env("LC_ALL", "C.UTF-8").args(utf8).args(args).output().unwrap().into()
}

fn has_keytool() -> bool {
    Command::new("keytool").arg("-help").output().is_ok()
}

#[test]
fn every_printable_passphrase_opens_the_file_in_openssl_and_java() {
    let bench = Bench::new();
    bench.run(&["issue", "app1", "--profile", "client"]).ok();
    let printable: String = (' '..='~').collect();
    for (at, passphrase) in ["sesame", &printable, &"x".repeat(200)].into_iter().enumerate() {
        let (secret, file) =
            (bench.root().join(format!("secret{at}")), bench.root().join(format!("{at}.p12")));
        std::fs::write(&secret, format!("{passphrase}\n")).unwrap();
        bench
            .run(&[
                "export",
                "app1",
                "--format",
                "p12",
                "--passphrase-file",
                text(&secret),
                "--out",
                text(&file),
            ])
            .ok();
        assert_eq!(mode(&file), 0o600);
        let pass = format!("file:{}", text(&secret));
        let seen = openssl(&["pkcs12", "-in", text(&file), "-passin", &pass, "-nodes"]);
        assert_eq!(
            (seen.matches("BEGIN CERTIFICATE").count(), seen.matches("BEGIN PRIVATE KEY").count()),
            (2, 1)
        );
        // keytool takes a longer one in its file than on the command line.
        if has_keytool() {
            let ran =
                keytool(&["-list", "-v", "-keystore", text(&file), "-storepass:file", text(&secret)]).ok();
            assert!(ran.out.contains("Certificate chain length: 2"), "{ran:?}");
        }
    }
    if !has_keytool() {
        skipped("keytool is not installed");
    }
}

#[test]
fn a_passphrase_that_java_refuses_is_refused_with_the_reason() {
    let bench = Bench::new();
    bench.run(&["issue", "app1", "--profile", "client"]).ok();
    let (secret, file) = (bench.root().join("secret"), bench.root().join("app1.p12"));
    for passphrase in
        ["p\u{e4}ssword", "\u{5bc6}\u{7801}\u{5bc6}\u{7801}", "\u{1f511}\u{1f511}\u{1f511}", "tab\tulator"]
    {
        std::fs::write(&secret, format!("{passphrase}\n")).unwrap();
        let ran = bench
            .run(&["export", "app1", "--format", "p12", "--passphrase-file", text(&secret)])
            .refused(2, "printable ASCII characters only");
        assert!(ran.err.contains("Password is not ASCII") && !ran.err.contains(passphrase), "{ran:?}");
        assert!(!file.exists());
    }
    if !has_keytool() {
        return skipped("keytool is not installed");
    }
    // Nobody can make such a file for Java: not Java itself, nor openssl.
    let (own, theirs) = (bench.root().join("own.p12"), bench.root().join("theirs.p12"));
    std::fs::write(&secret, "p\u{e4}ssword\n").unwrap();
    let ran = keytool(&[
        "-genkeypair",
        "-keyalg",
        "EC",
        "-alias",
        "a",
        "-dname",
        "CN=a",
        "-keystore",
        text(&own),
        "-storepass:file",
        text(&secret),
    ]);
    assert!(ran.code != Some(0) && (ran.out + &ran.err).contains("Password is not ASCII"));
    openssl(&[
        "pkcs12",
        "-export",
        "-in",
        text(&bench.file("app1.pem")),
        "-inkey",
        text(&bench.file("app1-key.pem")),
        "-passout",
        &format!("file:{}", text(&secret)),
        "-out",
        text(&theirs),
    ]);
    let ran = keytool(&["-list", "-keystore", text(&theirs), "-storepass:file", text(&secret)]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
}

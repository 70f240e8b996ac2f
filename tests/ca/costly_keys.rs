//! Encrypted keys whose own parameters ask for all memory, or for a year: refused before anybody types a passphrase.
//! And files that are deep or odd beyond measure: an answer, never a crash.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::{Bench, openssl, text};

/// A DER element.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=127 => out.push(short as u8),
        long => {
            let bytes: Vec<u8> = long.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect();
            out.push(0x80 | bytes.len() as u8);
            out.extend(bytes);
        }
    }
    out.extend_from_slice(content);
    out
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    der(0x30, &parts.concat())
}

fn number(value: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect();
    if bytes.first().is_none_or(|&first| first & 0x80 != 0) {
        bytes.insert(0, 0);
    }
    der(0x02, &bytes)
}

const PBES2: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const SCRYPT: &[u8] = &[0x06, 9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 11];
const AES_256_CBC: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];

/// An encrypted key with these parameters of its key derivation.
fn sealed(kdf: &[u8], parameters: &[u8], iv: usize) -> String {
    let kdf = sequence(&[kdf, parameters]);
    let cipher = sequence(&[AES_256_CBC, &der(0x04, &vec![7; iv])]);
    let algorithm = sequence(&[PBES2, &sequence(&[&kdf, &cipher])]);
    let body = base64(&sequence(&[&algorithm, &der(0x04, &[0; 144])]));
    format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}-----END ENCRYPTED PRIVATE KEY-----\n")
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes) + "\n"
}

fn scrypt(n: u64, r: u64, p: u64) -> String {
    sealed(SCRYPT, &sequence(&[&der(0x04, &[1; 8]), &number(n), &number(r), &number(p)]), 16)
}

fn pbkdf2(salt: usize, rounds: u64) -> String {
    sealed(PBKDF2, &sequence(&[&der(0x04, &vec![1; salt]), &number(rounds)]), 16)
}

fn bench_with_secret() -> (Bench, PathBuf) {
    let bench = Bench::new();
    std::fs::write(bench.root().join("secret"), "sesame\n").unwrap();
    let key = bench.root().join("foreign-key.pem");
    (bench, key)
}

#[test]
fn a_key_that_asks_for_too_much_work_is_refused_with_the_value_and_the_limit() {
    let (bench, key) = bench_with_secret();
    let import = ["import-ca", "--cert", "pki/ca.pem", "--key", text(&key), "--pki-dir", "other"];
    for (file, words) in [
        (
            scrypt(1 << 26, 8, 1),
            "takes 64 GiB of memory (scrypt with N = 67108864, r = 8, p = 1), and keys with up to 256 MiB are read",
        ),
        (scrypt(1 << 40, 8, 1), "of memory"),
        (scrypt(1 << 63, 65_535, 65_535), "of memory"),
        (scrypt(2, 65_535, 65_535), "too much work"),
        (scrypt(1 << 18, 8, 16), "too much work"),
        (pbkdf2(8, 1 << 31), "takes 2147483648 rounds of PBKDF2, and keys with up to 10000000 are read"),
        (pbkdf2(8, 10_000_001), "10000001 rounds"),
        (pbkdf2(8, u64::from(u32::MAX)), "4294967295 rounds"),
    ] {
        std::fs::write(&key, file).unwrap();
        let begin = Instant::now();
        // Without a passphrase at hand: nobody is asked for one first.
        let ran = bench.run(&import).refused(1, words);
        assert!(ran.err.contains("foreign-key.pem: opening it takes"), "{ran:?}");
        assert!(ran.err.contains("openssl pkey -in") && begin.elapsed() < Duration::from_secs(5), "{ran:?}");
    }
    assert!(!bench.root().join("other").exists());
    // In the place of the CA's own key too.
    std::fs::write(bench.file("ca-key.pem"), scrypt(1 << 26, 8, 1)).unwrap();
    bench.run(&["issue", "server1", "--passphrase-file", "secret"]).refused(1, "64 GiB of memory");
}

#[test]
fn parameters_that_cannot_be_are_an_answer_and_no_crash() {
    let (bench, key) = bench_with_secret();
    let import = [
        "import-ca",
        "--cert",
        "pki/ca.pem",
        "--key",
        text(&key),
        "--pki-dir",
        "other",
        "--passphrase-file",
        "secret",
    ];
    let long_key = sequence(&[&der(0x04, &[1; 8]), &number(2048), &number(65_535)]);
    for (what, file) in [
        ("N = 0", scrypt(0, 8, 1)),
        ("N = 1", scrypt(1, 8, 1)),
        ("N = 3", scrypt(3, 8, 1)),
        ("r = 0", scrypt(16_384, 0, 1)),
        ("p = 0", scrypt(16_384, 8, 0)),
        ("r beyond its type", scrypt(2, 1 << 20, 1)),
        ("no rounds", pbkdf2(8, 0)),
        ("rounds beyond their type", pbkdf2(8, 1 << 40)),
        ("no salt", pbkdf2(0, 2048)),
        ("a long salt", pbkdf2(33, 2048)),
        ("a salt of a megabyte", pbkdf2(1 << 20, 2048)),
        ("no iv", sealed(PBKDF2, &sequence(&[&der(0x04, &[1; 8]), &number(2048)]), 0)),
        ("a short iv", sealed(PBKDF2, &sequence(&[&der(0x04, &[1; 8]), &number(2048)]), 15)),
        ("a long key", sealed(PBKDF2, &long_key, 16)),
    ] {
        std::fs::write(&key, file).unwrap();
        let ran = bench.run(&import);
        assert!(matches!(ran.code, Some(1 | 2)) && ran.err.starts_with("error: "), "{what}: {ran:?}");
        assert!(ran.err.contains("foreign-key.pem") && ran.err.contains("hint: "), "{what}: {ran:?}");
    }
}

#[test]
fn what_openssl_and_age_choose_is_opened() {
    let (bench, key) = bench_with_secret();
    let plain = bench.file("ca-key.pem");
    let seal = |more: &[&str]| {
        let mut args =
            vec!["pkcs8", "-topk8", "-in", text(&plain), "-out", text(&key), "-passout", "pass:sesame"];
        args.extend(more);
        openssl(&args);
    };
    for (at, how) in [&["-v2", "aes256"][..], &["-iter", "600000"], &["-scrypt"]].into_iter().enumerate() {
        seal(how);
        let dir = format!("adopted{at}");
        bench
            .run(&[
                "import-ca",
                "--cert",
                "pki/ca.pem",
                "--key",
                text(&key),
                "--pki-dir",
                &dir,
                "--passphrase-file",
                "secret",
            ])
            .ok();
    }
    // age's parameters, more than openssl opens: they are tried, and this is no key.
    std::fs::write(&key, scrypt(1 << 18, 8, 1)).unwrap();
    bench
        .run(&[
            "import-ca",
            "--cert",
            "pki/ca.pem",
            "--key",
            text(&key),
            "--pki-dir",
            "other",
            "--passphrase-file",
            "secret",
        ])
        .refused(1, "the passphrase does not open");
}

#[test]
fn files_that_are_deep_long_or_empty_are_answered() {
    let (bench, file) = bench_with_secret();
    bench.run(&["issue", "server1"]).ok();
    let mut deep = Vec::new();
    for _ in 0..20_000 {
        deep = der(0x30, &deep);
        if deep.len() > 60_000 {
            break;
        }
    }
    let huge_length = [0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02];
    let contents: [(&str, &[u8]); 5] = [
        ("deep", &deep),
        ("huge length", &huge_length),
        ("indefinite", &[0x30, 0x80, 0x30, 0x80]),
        ("empty", &[]),
        ("zeros", &[0; 4096]),
    ];
    for (what, content) in contents {
        for label in [
            "",
            "CERTIFICATE",
            "PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
            "EC PRIVATE KEY",
            "RSA PRIVATE KEY",
            "CERTIFICATE REQUEST",
            "X509 CRL",
        ] {
            let bytes = if label.is_empty() {
                content.to_vec()
            } else {
                format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", base64(content)).into_bytes()
            };
            std::fs::write(&file, bytes).unwrap();
            for args in [
                &["inspect", text(&file)][..],
                &["verify", text(&file)],
                &["verify", "--ca", text(&file), "pki/server1.pem"],
                &["verify", "--key", text(&file), "pki/server1.pem"],
                &["verify", "--crl", text(&file), "pki/server1.pem"],
                &["sign", text(&file)],
                &[
                    "import-ca",
                    "--cert",
                    "pki/ca.pem",
                    "--key",
                    text(&file),
                    "--pki-dir",
                    "x",
                    "--passphrase-file",
                    "secret",
                ],
                &["import-ca", "--cert", text(&file), "--key", "pki/ca-key.pem", "--pki-dir", "x"],
                &["revoke", text(&file)],
            ] {
                let ran = bench.run(args);
                assert!(matches!(ran.code, Some(0..=2)), "{what} as {label:?}, {args:?}: {ran:?}");
                assert!(!ran.err.contains("panicked"), "{what} as {label:?}, {args:?}: {ran:?}");
            }
        }
    }
}

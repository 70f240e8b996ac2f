//! Text that others wrote, with everything in it that a terminal acts on: none of it is printed as it is.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use etcd_pki::text::is_shown;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber,
};

use crate::TOOL;

/// Controls of all kinds, marks for direction and of no width, line ends, tags, variation selectors.
const HOSTILE: &str = "a\u{1b}[31m\u{1b}]0;title\u{7}\u{8}\u{7f}\u{9b}2J\u{85}\u{ad}\u{61c}\u{200b}\u{200e}\u{2028}\
                       \u{202e}\u{2060}\u{2066}\u{feff}\u{fff9}\u{fe0f}\u{3164}\u{e0041}\u{e000}\r\n\thint: b";

struct Ran {
    words: String,
    output: Output,
}

/// Runs the tool in `dir` in each form that the command has.
fn in_every_form(dir: &Path, words: &[&str], forms: &[&[&str]]) -> Vec<Ran> {
    let plain: [&[&str]; 3] = [&[], &["--json"], &["--color", "always", "-v"]];
    let run = |form: &&[&str]| {
        let mut command = Command::new(TOOL);
        command.args(words).args(*form).current_dir(dir).env("ETCDPKI_DIR", "pki").stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", format!("{}:{}", dir.join("bin").display(), path.to_string_lossy()));
        }
        Ran { words: format!("{words:?} {form:?}"), output: command.output().unwrap() }
    };
    plain.iter().chain(forms).map(run).collect()
}

/// Nothing that a terminal acts on is in what was printed, but line ends and our own colours; and what was printed is
/// about the hostile text.
fn is_clean(ran: &Ran) {
    let Ran { words, output } = ran;
    for bytes in [&output.stdout, &output.stderr] {
        let mut text = String::from_utf8(bytes.clone()).unwrap_or_else(|error| panic!("{words}: {error}"));
        for colour in ["0", "1", "2", "32", "1;31", "33", "36"] {
            text = text.replace(&format!("\u{1b}[{colour}m"), "");
        }
        if let Some(c) = text.chars().find(|&c| c != '\n' && !is_shown(c)) {
            panic!("{words}: U+{:04X} in {text:?}", u32::from(c));
        }
        assert!(
            !text.lines().any(|line| line.trim_start().starts_with("hint: b")),
            "{words}: a forged line: {text}"
        );
    }
}

fn all_clean(dir: &Path, words: &[&str], forms: &[&[&str]], mentions: bool) {
    for ran in in_every_form(dir, words, forms) {
        is_clean(&ran);
        let printed = [ran.output.stdout.clone(), ran.output.stderr.clone()].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert_ne!(ran.output.status.code(), Some(101), "{}: {printed}", ran.words);
        let escaped = ["202e", "%E2%80%AE"].iter().any(|form| printed.contains(form));
        assert!(!mentions || escaped, "{} does not come to the hostile text: {printed}", ran.words);
    }
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name.push(DnType::OrganizationName, common_name);
    name
}

/// A directory with certificates, a request, a list and files that hold the text.
fn arranged() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = name(HOSTILE);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    put("hostile-ca.pem", &ca.pem());
    let ascii: String = HOSTILE.chars().filter(char::is_ascii).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = name(HOSTILE);
    params.subject_alt_names = vec![
        SanType::DnsName(ascii.as_str().try_into().unwrap()),
        SanType::URI(ascii.as_str().try_into().unwrap()),
        SanType::Rfc822Name(ascii.as_str().try_into().unwrap()),
    ];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    put("request.csr", &params.serialize_request(&key).unwrap().pem().unwrap());
    put("leaf.pem", &params.signed_by(&key, &ca).unwrap().pem());
    put("leaf-key.pem", &key.serialize_pem());
    let now = time::OffsetDateTime::now_utc();
    let list = CertificateRevocationListParams {
        this_update: now,
        next_update: now + time::Duration::days(1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(7_u64),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    put("list.pem", &list.signed_by(&ca).unwrap().pem().unwrap());
    std::fs::create_dir(dir.path().join("files")).unwrap();
    for (from, to) in
        [("leaf.pem", "pem"), ("leaf-key.pem", "key"), ("hostile-ca.pem", "ca.pem"), ("list.pem", "crl")]
    {
        std::fs::copy(dir.path().join(from), dir.path().join(format!("files/{}.{to}", HOSTILE))).unwrap();
    }
    put("broken.pem", &format!("-----BEGIN {HOSTILE}-----\nAAAA\n-----END {HOSTILE}-----\n"));
    let mut log = String::new();
    for line in
        ["remote error: tls: bad certificate", "x509: certificate is valid for a, not b", "no such thing"]
    {
        writeln!(log, "{HOSTILE} {line} {HOSTILE}").unwrap();
    }
    put("log", &log);
    for words in [&["init-ca"][..], &["issue", "server1"]] {
        let made = Command::new(TOOL)
            .args(words)
            .current_dir(dir.path())
            .env("ETCDPKI_DIR", "pki")
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    dir
}

const FORMATS: &[&[&str]] = &[&["--format", "github"], &["--format", "junit"], &["--format", "sarif"]];

#[test]
fn certificates_requests_lists_and_their_files_are_shown_escaped() {
    let dir = arranged();
    let dir = dir.path();
    let odd = HOSTILE;
    let odd_pem = format!("files/{odd}.pem");
    for words in [
        &["inspect", "leaf.pem"][..],
        &["inspect", "request.csr", "list.pem", "hostile-ca.pem"],
        &["inspect", "files"],
        &["inspect", odd],
        &["sign", "request.csr", "--name", odd],
        &["sign", odd],
        &["explain", "log"],
        &["import-ca", "--cert", odd, "--key", odd],
        &["issue", odd],
        &["issue", "x", "--dns", odd],
        &["issue", "x", "--profile", odd],
        &["issue", "--from", odd],
        &["renew", odd],
        &["revoke", odd],
        &["export", odd, "--format", "p12"],
        &["install", odd],
        &["install", "server1", "--to", odd],
        &["csr", odd],
        &["man", odd],
        &["list", "--pki-dir", odd],
        &["crl", "--passphrase-file", odd],
    ] {
        let shows = words[0] == "inspect";
        all_clean(dir, words, &[], shows);
    }
    for words in
        [&["verify", "leaf.pem", "--ca", "hostile-ca.pem"][..], &["verify", "leaf.pem", "--ca", "pki/ca.pem"]]
    {
        all_clean(dir, words, FORMATS, false);
    }
    all_clean(dir, &["verify", &odd_pem, "--ca", "pki/ca.pem"], FORMATS, true);
    all_clean(
        dir,
        &["verify", "leaf.pem", "--ca", "hostile-ca.pem", "--crl", "list.pem", "--host", odd],
        FORMATS,
        false,
    );
    all_clean(dir, &["inspect", "broken.pem"], &[], false);
    all_clean(dir, &["sign", "request.csr"], &[], false);
}

#[test]
fn what_the_tools_own_files_hold_is_shown_escaped() {
    let dir = arranged();
    let dir = dir.path();
    let json = serde_json::to_string(HOSTILE).unwrap();
    let ledger = dir.join("pki/ledger.jsonl");
    let text = std::fs::read_to_string(&ledger).unwrap();
    let last = text.lines().last().unwrap();
    let edited =
        last.replace("\"server1\"", &json).replace("\"server\"", &json).replace("\"DNS:localhost\"", &json);
    let serial = last.split("\"serial\":\"").nth(1).unwrap().split('"').next().unwrap();
    let edited = edited.replace(serial, "00112233445566778899aabbccddeeff00112233");
    std::fs::write(&ledger, format!("{text}{edited}\n{{\"{HOSTILE}\n")).unwrap();
    all_clean(dir, &["list", "--all"], &[], true);
    all_clean(dir, &["renew", "--all", "--dry-run"], &[], false);
    all_clean(dir, &["revoke", "00112233445566778899aabbccddeeff00112233"], &[], false);

    std::fs::create_dir(dir.join("pki/templates")).unwrap();
    std::fs::write(dir.join("pki/templates/odd.toml"), format!("usages = [{json}]\n")).unwrap();
    all_clean(dir, &["issue", "x", "--profile", "odd"], &[], false);

    for text in [
        format!("[[member]]\nname = {json}\n"),
        format!("[[member]]\n{json} = 1\nname = \"a\"\n"),
        format!("[[member]]\nname = \"a\"\nips = [{json}]\n"),
        format!("[[member]]\nname = \"a\"\ndns = [{json}]\n"),
        format!("[[member]]\nname = \"a\"\nssh = {json}\n"),
        format!("[cluster]\nssl-dir = {json}\n[[member]]\nname = \"a\"\nips = [\"127.0.0.1\"]\n"),
        format!("[[member]]\nname = \"a\"\nunit = {json}\nprocess = {json}\n"),
        format!("name = {HOSTILE}\n"),
    ] {
        // TOML has no escape of JSON's for characters beyond the plane: they stand there as they are.
        std::fs::write(dir.join("cluster.toml"), text).unwrap();
        for words in [
            &["issue", "--from", "cluster.toml"][..],
            &["install", "--from", "cluster.toml", "--dry-run"],
            &["verify", "--cluster", "cluster.toml"],
            &["migrate", "plan", "--inventory", "cluster.toml"],
            &["migrate", "status", "--inventory", "cluster.toml"],
        ] {
            all_clean(dir, words, &[], false);
        }
    }

    std::fs::create_dir_all(dir.join("pki/migrate")).unwrap();
    let line = format!(
        "{{\"at\":\"2026-01-01T00:00:00Z\",\"member\":{json},\"what\":{json},\"state\":\"intent\",\"run\":{json}}}\n"
    );
    std::fs::write(dir.join(format!("pki/migrate/{}.jsonl", HOSTILE)), line).unwrap();
    all_clean(dir, &["migrate", "report"], &[], true);
}

/// A stand-in for ssh is enough: what matters is what arrives.
#[test]
fn what_a_far_host_says_is_shown_escaped() {
    let dir = arranged();
    let dir = dir.path();
    std::fs::create_dir(dir.join("bin")).unwrap();
    for (stream, exit) in [(">&2", 255), (">&2", 1), (">&1", 0), (">&1", 255)] {
        let script = dir.join("bin/ssh");
        std::fs::write(dir.join("words"), format!("{HOSTILE}\nroot@a: Permission {HOSTILE}\n")).unwrap();
        let text = format!("#!/bin/sh\ncat '{}' {stream}\nexit {exit}\n", dir.join("words").display());
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        all_clean(dir, &["install", "server1", "--host", "root@far.invalid"], &[], false);
        all_clean(dir, &["verify", "--node", "root@far.invalid"], &[], false);
        all_clean(dir, &["migrate", "status", "root@far.invalid"], &[], false);
    }
}

/// A server that answers everything with the text: as an HTTP body, as a header, and as no HTTP at all.
#[test]
fn what_a_port_answers_is_shown_escaped() {
    let dir = arranged();
    let body = format!(
        "{{\"members\":[{{\"ID\":\"1\",\"name\":{0},\"peerURLs\":[{0}]}}],\"error\":{0},\"message\":{0}}}",
        serde_json::to_string(HOSTILE).unwrap()
    );
    for answer in [
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        format!("HTTP/1.1 500 {HOSTILE}\r\nX-{HOSTILE}: {HOSTILE}\r\n\r\n{HOSTILE}"),
        HOSTILE.to_owned(),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, ended) = std::sync::mpsc::channel::<()>();
        let server = std::thread::spawn(move || {
            listener.set_nonblocking(true).unwrap();
            while ended.recv_timeout(std::time::Duration::from_millis(5))
                == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                if let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        all_clean(dir.path(), &["inspect", &address], &[], false);
        all_clean(dir.path(), &["verify", "--connect", &address], &[], false);
        drop(stop);
        server.join().unwrap();
    }
}

/// perl has Unicode's properties in its standard library; code points that its version does not know are left out.
#[test]
fn every_code_point_is_shown_or_not_as_unicode_has_it() {
    let script = r#"no warnings;
        for my $code (0..0x10ffff) {
            next if $code >= 0xd800 && $code <= 0xdfff;
            my $c = chr $code;
            next if $c =~ /\p{Cn}/ && $c !~ /\p{Default_Ignorable_Code_Point}|\p{Noncharacter_Code_Point}/;
            my $acts = $c =~ /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/;
            my $blank = $c =~ /\p{Zs}/ && $c ne " ";
            print $acts || $blank ? "-" : "+", "$code\n";
        }"#;
    let perl = Command::new("perl").args(["-e", script]).output().unwrap();
    let mut compared = 0;
    for line in std::str::from_utf8(&perl.stdout).unwrap().lines() {
        let (shown, code) = line.split_at(1);
        let c = char::from_u32(code.parse().unwrap()).unwrap();
        assert_eq!(is_shown(c), shown == "+", "U+{:04X}", u32::from(c));
        compared += 1;
    }
    assert!(compared > 280_000, "{compared} code points");
}

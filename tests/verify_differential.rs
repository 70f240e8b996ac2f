//! Random chains, judged by us and by Go: no verdict may differ.
//!
//! The generator has a fixed seed; `ETCDPKI_DIFFERENTIAL=N` makes N rounds instead of a few hundred, another
//! `ETCDPKI_SEED` others, and `ETCDPKI_GO` names another go binary than the one in PATH. Two kinds of cases: chains
//! with sound and flawed certificates (names, dates, usages, constraints, path lengths, signers, orders), and
//! certificates with damaged bytes that are trusted as they are, so that nothing but the parser decides.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine;
use etcd_pki::host::command::command;
use etcd_pki::verify::{GoVersion, Request, Role, Verdict, judge};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
    SanType, SerialNumber,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

/// Numbers that are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

const NAMES: &[&str] = &[
    "m1.etcd.test",
    "m2.etcd.test",
    "etcd.test",
    "*.etcd.test",
    "m1.other.test",
    "localhost",
    "*",
    "M1.Etcd.Test",
];
const ADDRESSES: &[&str] = &["127.0.0.1", "172.16.0.101", "172.16.0.102", "10.1.2.3", "fd00::1", "::1"];
const DOMAINS: &[&str] =
    &["etcd.test", ".etcd.test", "test", "m1.etcd.test", "other.test", "x.etcd.test", "a-b.test", ""];

fn key(dice: &mut Dice) -> KeyPair {
    let algorithm = match dice.below(6) {
        0 => &rcgen::PKCS_ED25519,
        1 => &rcgen::PKCS_ECDSA_P384_SHA384,
        _ => &rcgen::PKCS_ECDSA_P256_SHA256,
    };
    KeyPair::generate_for(algorithm).unwrap()
}

/// A name: few, so that some are met twice with another key.
fn name(dice: &mut Dice, level: usize) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if dice.one_in(3) {
        name.push(DnType::OrganizationName, "lab");
    }
    if !dice.one_in(40) {
        name.push(DnType::CommonName, format!("level {level} {}", dice.below(3)));
    }
    name
}

fn usages(dice: &mut Dice, often: usize) -> Vec<ExtendedKeyUsagePurpose> {
    if !dice.one_in(often) {
        return Vec::new();
    }
    let all = [
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::CodeSigning,
        ExtendedKeyUsagePurpose::Any,
    ];
    all.into_iter().filter(|_| dice.one_in(2)).collect()
}

fn sans(dice: &mut Dice) -> Vec<SanType> {
    let mut sans = Vec::new();
    for _ in 0..dice.below(4) {
        sans.push(SanType::DnsName((*dice.pick(NAMES)).try_into().unwrap()));
    }
    for _ in 0..dice.below(3) {
        sans.push(SanType::IpAddress(dice.pick(ADDRESSES).parse().unwrap()));
    }
    if dice.one_in(12) {
        let mail =
            *dice.pick(&["a@etcd.test", "a@m1.etcd.test", "b@other.test", "a..b@etcd.test", "\"q r\"@test"]);
        sans.push(SanType::Rfc822Name(mail.try_into().unwrap()));
    }
    if dice.one_in(12) {
        let uri = *dice.pick(&[
            "https://m1.etcd.test:1/x",
            "spiffe://etcd.test",
            "urn:x:y",
            "https://10.0.0.1/",
            "https://[::1]/",
        ]);
        sans.push(SanType::URI(uri.try_into().unwrap()));
    }
    sans
}

fn subtrees(dice: &mut Dice) -> Vec<GeneralSubtree> {
    (0..dice.below(3))
        .map(|_| match dice.below(5) {
            0 | 1 => GeneralSubtree::DnsName((*dice.pick(DOMAINS)).to_owned()),
            2 => GeneralSubtree::Rfc822Name(
                (*dice.pick(&["etcd.test", ".etcd.test", "a@etcd.test"])).to_owned(),
            ),
            3 => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix("172.16.0.0".parse().unwrap(), 24)),
            _ => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix("10.0.0.0".parse().unwrap(), 8)),
        })
        .collect()
}

/// What every certificate may have wrong.
fn flaws(dice: &mut Dice, params: &mut CertificateParams, now: OffsetDateTime) {
    params.not_before = now - Duration::days(dice.below(300) as i64 + 1);
    params.not_after = now + Duration::days(dice.below(3000) as i64 + 1);
    match dice.below(60) {
        0 => params.not_after = now - Duration::days(1),
        1 => params.not_before = now + Duration::days(1),
        2 => params.not_after = now,
        3 => params.not_before = now,
        4 => params.not_after = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap(),
        _ => {}
    }
    match dice.below(50) {
        0 => {
            let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
            unknown.set_criticality(true);
            params.custom_extensions.push(unknown);
        }
        // requireExplicitPolicy 0, and a policy that may or may not be there.
        1 => params
            .custom_extensions
            .push(CustomExtension::from_oid_content(&[2, 5, 29, 36], vec![0x30, 3, 0x80, 1, 0])),
        2 | 3 => params
            .custom_extensions
            .push(CustomExtension::from_oid_content(&[2, 5, 29, 32], vec![0x30, 6, 0x30, 4, 6, 2, 0x2a, 3])),
        4 => params.custom_extensions.push(CustomExtension::from_oid_content(
            &[2, 5, 29, 32],
            vec![0x30, 8, 0x30, 6, 6, 4, 0x55, 0x1d, 0x20, 0],
        )),
        _ => {}
    }
    params.serial_number = Some(SerialNumber::from(dice.next() >> 1));
    params.use_authority_key_identifier_extension = dice.one_in(2);
    if dice.one_in(5) {
        odd_extension(dice, params);
    }
}

/// Extensions as nobody writes them, or hardly anybody: by object identifier, and what else must then be left out.
const ODD: &[(&[u64], &[&[u8]])] = &[
    (
        &[2, 5, 29, 15],
        &[
            b"\x03\x02\x07\x80",
            b"\x03\x02\x05\xa0",
            b"\x03\x02\x02\x04",
            b"\x03\x02\x00\x06",
            b"\x03\x01\x00",
            b"\x03\x03\x07\x06\x80",
            b"\x04\x01\x00",
        ],
    ),
    (
        &[2, 5, 29, 37],
        &[
            b"\x30\x00",
            b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01",
            b"\x30\x06\x06\x04\x55\x1d\x25\x00",
            b"\x30\x03\x06\x01\x2a",
            b"\x30\x04\x06\x02\x80\x01",
            b"\x30\x02\x06\x00",
            b"\x31\x00",
        ],
    ),
    (
        &[2, 5, 29, 17],
        &[
            b"\x30\x00",
            b"\x30\x06\x87\x04\x7f\x00\x00\x01",
            b"\x30\x05\x87\x03\x01\x02\x03",
            b"\x30\x12\x87\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01",
            b"\x30\x02\x82\x00",
            b"\x30\x04\x82\x02m\xe9",
            b"\x30\x03\x82\x01.",
            b"\x30\x0c\x82\x0a.etcd.test",
            b"\x30\x0d\x82\x0betcd.test.\x00",
            b"\x30\x0e\x82\x0cm1.etcd.test",
            b"\x30\x04\x88\x02\x2a\x03",
            b"\x30\x07\xa4\x05\x30\x03\x31\x01\x00",
            b"\x30\x0c\x86\x0ahttp://[x/",
            b"\x30\x0b\x86\x09http://a:",
            b"\x30\x03\x86\x01a",
            b"\x30\x05\x81\x03a@b",
            b"\x30\x03\x81\x01@",
        ],
    ),
    (
        &[2, 5, 29, 30],
        &[
            b"\x30\x00",
            b"\x30\x02\xa0\x00",
            b"\x30\x04\xa0\x02\x30\x00",
            b"\x30\x07\xa0\x05\x30\x03\x82\x01.",
            b"\x30\x06\xa0\x04\x30\x02\x82\x00",
            b"\x30\x06\xa1\x04\x30\x02\x82\x00",
            b"\x30\x0d\xa0\x0b\x30\x09\x82\x04test\x80\x01\x00",
            b"\x30\x0e\xa0\x0c\x30\x0a\x87\x08\x0a\x00\x00\x00\xff\x00\x00\x00",
            b"\x30\x0e\xa0\x0c\x30\x0a\x87\x08\x0a\x01\x02\x03\xff\x00\x00\x00",
            b"\x30\x0e\xa1\x0c\x30\x0a\x87\x08\x0a\x00\x00\x00\xff\x00\xff\x00",
            b"\x30\x0e\xa1\x0c\x30\x0a\x87\x08\x00\x00\x00\x00\x00\x00\x00\x00",
            b"\x30\x08\xa1\x06\x30\x04\xa4\x02\x30\x00",
            b"\x30\x0a\xa1\x08\x30\x06\x86\x04test",
            b"\x30\x0a\xa0\x08\x30\x06\x81\x04test",
            b"\x30\x0a\xa0\x08\x30\x06\x82\x04*.ab",
        ],
    ),
    (
        &[2, 5, 29, 19],
        &[
            b"\x30\x00",
            b"\x30\x03\x01\x01\xff",
            b"\x30\x03\x01\x01\x01",
            b"\x30\x03\x01\x01\x00",
            b"\x30\x06\x01\x01\xff\x02\x01\x00",
            b"\x30\x06\x01\x01\xff\x02\x01\xff",
            b"\x30\x07\x01\x01\xff\x02\x02\x00\x01",
            b"\x30\x0a\x01\x01\xff\x02\x05\x01\x00\x00\x00\x00",
            b"\x30\x03\x02\x01\x01",
            b"\x30\x09\x01\x01\xff\x02\x01\x00\x04\x01\x00",
        ],
    ),
    (&[2, 5, 29, 35], &[b"\x30\x04\x80\x02\x01\x02", b"\x30\x00", b"\x30\x04\x82\x02\x01\x02", b"\x05\x00"]),
    (
        &[1, 3, 6, 1, 5, 5, 7, 1, 1],
        &[b"\x30\x00", b"\x30\x02\x30\x00", b"\x05\x00", b"\x30\x07\x30\x05\x06\x01\x2a\x86\x00"],
    ),
    (&[2, 5, 29, 31], &[b"\x30\x00", b"\x30\x02\x30\x00", b"\x05\x00", b"\x30\x06\x30\x04\xa0\x02\xa0\x00"]),
    (
        &[2, 5, 29, 36],
        &[b"\x30\x00", b"\x30\x03\x80\x01\x01", b"\x30\x03\x81\x01\xff", b"\x30\x03\x02\x01\x00"],
    ),
    (&[2, 5, 29, 54], &[b"\x02\x01\x00", b"\x02\x01\x80", b"\x05\x00"]),
    (&[2, 5, 29, 33], &[b"\x30\x00", b"\x30\x08\x30\x06\x06\x01\x2a\x06\x01\x2b", b"\x30\x02\x30\x00"]),
];

/// One of them, in the place of what would be written there.
fn odd_extension(dice: &mut Dice, params: &mut CertificateParams) {
    let (oid, contents) = dice.pick(ODD);
    match oid {
        [2, 5, 29, 15] => params.key_usages.clear(),
        [2, 5, 29, 37] => params.extended_key_usages.clear(),
        [2, 5, 29, 17] => params.subject_alt_names.clear(),
        [2, 5, 29, 30] => params.name_constraints = None,
        [2, 5, 29, 19] => params.is_ca = IsCa::NoCa,
        [2, 5, 29, 35] => params.use_authority_key_identifier_extension = false,
        _ => {}
    }
    params.custom_extensions.retain(|one| !one.oid_components().eq(oid.iter().copied()));
    let mut odd = CustomExtension::from_oid_content(oid, dice.pick(contents).to_vec());
    odd.set_criticality(dice.one_in(4));
    params.custom_extensions.push(odd);
}

fn ca_params(dice: &mut Dice, level: usize, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = name(dice, level);
    params.is_ca = match dice.below(12) {
        0 => IsCa::ExplicitNoCa,
        1 => IsCa::NoCa,
        2..=4 => IsCa::Ca(BasicConstraints::Constrained(dice.below(3) as u8)),
        _ => IsCa::Ca(BasicConstraints::Unconstrained),
    };
    params.key_usages = match dice.below(8) {
        0 => vec![KeyUsagePurpose::DigitalSignature],
        1 => Vec::new(),
        _ => vec![KeyUsagePurpose::KeyCertSign],
    };
    params.extended_key_usages = usages(dice, 6);
    if dice.one_in(5) {
        let constraints =
            NameConstraints { permitted_subtrees: subtrees(dice), excluded_subtrees: subtrees(dice) };
        if !constraints.permitted_subtrees.is_empty() || !constraints.excluded_subtrees.is_empty() {
            params.name_constraints = Some(constraints);
        }
    }
    if dice.one_in(8) {
        params.subject_alt_names = sans(dice);
    }
    flaws(dice, &mut params, now);
    params
}

struct Signer {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A random tree of CAs, a leaf somewhere in it, and what is sent and trusted of it.
fn chain_case(dice: &mut Dice, now: OffsetDateTime) -> Value {
    let mut signers: Vec<Signer> = Vec::new();
    let roots = 1 + dice.below(2);
    for _ in 0..roots {
        let (params, key) = (ca_params(dice, 0, now), key(dice));
        let pem = params.self_signed(&key).unwrap().pem();
        signers.push(Signer { pem, issuer: Issuer::new(params, key) });
    }
    let intermediates = *dice.pick(&[0usize, 0, 1, 1, 2, 3, 5]);
    for level in 1..=intermediates {
        let above = if dice.one_in(4) { dice.below(signers.len()) } else { signers.len() - 1 };
        let params = ca_params(dice, level, now);
        // Now and then a key that another CA has: a cross-signature.
        let key = if dice.one_in(6) {
            let der = signers[dice.below(signers.len())].issuer.key().serialize_der();
            KeyPair::try_from(der.as_slice()).unwrap()
        } else {
            key(dice)
        };
        let pem = params.signed_by(&key, &signers[above].issuer).unwrap().pem();
        signers.push(Signer { pem, issuer: Issuer::new(params, key) });
    }
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = name(dice, 9);
    params.subject_alt_names = sans(dice);
    params.is_ca =
        if dice.one_in(20) { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    params.extended_key_usages = usages(dice, 2);
    flaws(dice, &mut params, now);
    let leaf_key = key(dice);
    let above = if dice.one_in(8) { dice.below(signers.len()) } else { signers.len() - 1 };
    let leaf = params.signed_by(&leaf_key, &signers[above].issuer).unwrap().pem();
    let mut sent: Vec<String> = signers[roots..].iter().map(|one| one.pem.clone()).collect();
    sent.retain(|_| !dice.one_in(12));
    if dice.one_in(2) {
        sent.reverse();
    }
    let mut trusted: Vec<String> = signers[..roots].iter().map(|one| one.pem.clone()).collect();
    match dice.below(20) {
        0 => trusted.truncate(1),
        1 => trusted.push(leaf.clone()),
        2 if !sent.is_empty() => trusted = vec![sent[0].clone()],
        _ => {}
    }
    let key_pem = if dice.one_in(20) { key(dice).serialize_pem() } else { leaf_key.serialize_pem() };
    let with_key = dice.one_in(2);
    case(dice, &format!("{leaf}{}", sent.concat()), with_key.then_some(key_pem), &trusted.concat(), now)
}

/// A certificate with damaged bytes that is trusted as it is: only the parser, the dates and the names decide.
fn damaged_case(dice: &mut Dice, now: OffsetDateTime) -> Value {
    let mut params = ca_params(dice, 0, now);
    if dice.one_in(2) {
        params.subject_alt_names = sans(dice);
    }
    let certificate = params.self_signed(&key(dice)).unwrap();
    let mut der = certificate.der().to_vec();
    // Lengths at the very beginning only break everything; the rest is more telling.
    let start = if dice.one_in(4) { 0 } else { 12 };
    for _ in 0..=dice.below(2) {
        let at = start + dice.below(der.len() - start);
        match dice.below(5) {
            0 => der[at] ^= 1 << dice.below(8),
            1 => der[at] = dice.next() as u8,
            2 => {
                der[at] = *dice.pick(&[
                    0u8, 1, 2, 3, 4, 5, 6, 0x0c, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1e, 0x30, 0x31, 0x80, 0x82,
                    0xa0, 0xff,
                ])
            }
            3 => der[at] = der[at].wrapping_add(1),
            _ => der[at] = der[at].wrapping_sub(1),
        }
    }
    let text = base64::engine::general_purpose::STANDARD.encode(&der);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    case(dice, &pem, None, &pem, now)
}

fn case(dice: &mut Dice, chain: &str, key: Option<String>, ca: &str, now: OffsetDateTime) -> Value {
    let host = match dice.below(8) {
        0 => "",
        1 | 2 => dice.pick(ADDRESSES),
        3 => dice.pick(&["m1.etcd.test.", "a.b.etcd.test", "[::1]", "M2.ETCD.test", "com"]),
        _ => dice.pick(&NAMES[..3]),
    };
    let role = if dice.one_in(2) { "client" } else { "server" };
    let at = now.format(&time::format_description::well_known::Rfc3339).unwrap();
    json!({ "Chain": chain, "Key": key.unwrap_or_default(), "CA": ca, "Role": role, "Host": host, "At": at })
}

fn ours(case: &Value, go: GoVersion) -> (bool, String) {
    let text = |field: &str| case[field].as_str().unwrap();
    let hosts: Vec<String> =
        [text("Host")].iter().filter(|host| !host.is_empty()).map(|&host| host.to_owned()).collect();
    let role = if text("Role") == "client" { Role::Client } else { Role::Server };
    let judgement = judge(&Request {
        key: Some(text("Key").as_bytes()).filter(|key| !key.is_empty()),
        hosts: &hosts,
        at: OffsetDateTime::parse(text("At"), &time::format_description::well_known::Rfc3339).unwrap(),
        go,
        ..Request::new(text("Chain").as_bytes(), text("CA").as_bytes(), role)
    });
    let why = judgement.findings.first().map(|finding| format!("{} {:?}", finding.code, finding.etcd_says));
    (judgement.verdict == Verdict::Accept, why.unwrap_or_default())
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap())
}

/// The go to judge with, and its version.
fn go() -> Option<(String, GoVersion)> {
    let go = std::env::var("ETCDPKI_GO").unwrap_or_else(|_| "go".to_owned());
    let output = command(&go).arg("version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().nth(2)?.parse().ok()?;
    Some((go, version))
}

/// Builds `tests/verify_go` with it: the module says the same Go version, or newer rules would be switched off.
fn build(go: &str, version: GoVersion) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("judge-{version}"));
    std::fs::create_dir_all(&dir).unwrap();
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/verify_go/main.go");
    std::fs::copy(source, dir.join("main.go")).unwrap();
    let minor = version.to_string().split('.').nth(1).unwrap().to_owned();
    std::fs::write(dir.join("go.mod"), format!("module judge\n\ngo 1.{minor}\n")).unwrap();
    let built = Command::new(go)
        .args(["build", "-o", "judge", "."])
        .current_dir(&dir)
        .env("GOCACHE", dir.join("cache"))
        .env("GOFLAGS", "-mod=mod")
        .env("GOTOOLCHAIN", "local")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    dir.join("judge")
}

#[test]
fn random_chains_are_judged_alike() {
    let Some((go, version)) = go() else {
        support::skipped("there is no go in PATH (apt-get install golang-go)");
        return;
    };
    let judge = build(&go, version);
    let rounds = number("ETCDPKI_DIFFERENTIAL", 1500);
    let mut dice = Dice(number("ETCDPKI_SEED", 20_261_121));
    let now = OffsetDateTime::from_unix_timestamp(1_795_262_400).unwrap();
    let cases: Vec<Value> = (0..rounds)
        .map(|_| if dice.one_in(2) { chain_case(&mut dice, now) } else { damaged_case(&mut dice, now) })
        .collect();
    let mut child = command(judge).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), cases.len(), "Go answers every case");
    let mut wrong = Vec::new();
    let mut accepted = 0;
    for (case, answer) in cases.iter().zip(&answers) {
        let (accept, why) = ours(case, version);
        accepted += usize::from(accept);
        if Some(accept) != answer["Accept"].as_bool() {
            wrong.push(format!("Go {version}: {answer}\nwe: {accept} {why}\n{case}"));
        }
    }
    println!("{rounds} cases, {accepted} accepted, {} disagreements with Go {version}", wrong.len());
    assert!(accepted > cases.len() / 20, "the generator makes too little that is sound: {accepted}");
    assert!(
        wrong.is_empty(),
        "{} of {rounds} differ, the first:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(3)].join("\n\n")
    );
}

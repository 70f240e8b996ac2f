//! list and inspect.

use crate::support::{Bench, openssl, text};

#[test]
fn list_shows_what_was_issued_and_how_it_stands() {
    let bench = Bench::new();
    bench.run(&["issue", "server1", "--ip", "10.0.0.1"]).ok();
    bench.run(&["issue", "client1", "--profile", "client", "--days", "5"]).ok();
    bench.run(&["issue", "server1", "--force"]).ok();
    let ran = bench.run(&["list"]).ok();
    let rows: Vec<&str> = ran.out.lines().collect();
    assert!(
        rows[0].starts_with("NAME") && rows[1].starts_with("ca ") && rows[2].starts_with("client1"),
        "{ran:?}"
    );
    assert_eq!(rows.len(), 4);
    let all = bench.run(&["list", "--all", "--json"]).ok().json();
    let states: Vec<_> = all["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        [("ca", "valid"), ("client1", "valid"), ("server1", "valid"), ("server1", "replaced")]
    );
    std::fs::remove_file(bench.file("client1.pem")).unwrap();
    assert!(bench.run(&["list"]).ok().out.contains("file missing"));
}

#[test]
fn list_expires_within_is_an_answer_for_scripts() {
    let bench = Bench::new();
    bench.run(&["issue", "server1"]).ok();
    assert_eq!(bench.run(&["list", "--expires-within", "30d"]).code, Some(0));
    bench.run(&["issue", "client1", "--profile", "client", "--days", "5"]).ok();
    let ran = bench.run(&["list", "--expires-within", "30d", "--json"]);
    assert_eq!(ran.code, Some(1));
    let names = ran.json()["certificates"].as_array().unwrap().len();
    assert_eq!(names, 1, "{ran:?}");
    assert_eq!(bench.run(&["list", "--expires-within", "soon"]).code, Some(2));
}

#[test]
fn inspect_tells_what_openssl_tells() {
    let bench = Bench::new();
    bench.run(&["issue", "server1", "--ip", "172.16.0.101"]).ok();
    let cert = bench.file("server1.pem");
    let seen = &bench.run(&["inspect", text(&cert), "--json"]).ok().json()["files"][0]["items"][0];
    let serial = openssl(&["x509", "-in", text(&cert), "-noout", "-serial"]);
    assert_eq!(seen["serial"].as_str().unwrap(), serial.trim().trim_start_matches("serial=").to_lowercase());
    let print = openssl(&["x509", "-in", text(&cert), "-noout", "-fingerprint", "-sha256"]);
    let print = print.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    assert_eq!(seen["fingerprint"], print);
    assert_eq!(seen["usages"], serde_json::json!(["serverAuth", "clientAuth"]));
}

#[test]
fn inspect_never_shows_a_secret_and_knows_a_directory() {
    let bench = Bench::new();
    bench.run(&["issue", "server1"]).ok();
    let key = std::fs::read_to_string(bench.file("server1-key.pem")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let ran = bench.run(&["inspect", "-v", text(&bench.pki())]).ok();
    assert!(!ran.out.contains(secret) && !ran.err.contains(secret));
    assert!(ran.out.contains("server1-key.pem  private key") && ran.out.contains("ca.pem  CA certificate"));
    let ran = bench.run(&["inspect", "/etc/hostname"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    bench.run(&["inspect", "/nonexistent"]).refused(2, "cannot read /nonexistent");
}

#[test]
fn inspect_reads_requests_and_der_of_openssl() {
    let bench = Bench::new();
    let (key, csr, der) =
        (bench.root().join("k.pem"), bench.root().join("r.csr"), bench.root().join("ca.der"));
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", text(&key)]);
    openssl(&[
        "req",
        "-new",
        "-key",
        text(&key),
        "-subj",
        "/CN=node",
        "-addext",
        "subjectAltName=DNS:node,IP:10.0.0.1",
        "-out",
        text(&csr),
    ]);
    openssl(&["x509", "-in", text(&bench.file("ca.pem")), "-outform", "DER", "-out", text(&der)]);
    let files = &bench.run(&["inspect", text(&csr), text(&der), "--json"]).ok().json()["files"];
    let request = &files[0]["items"][0];
    assert_eq!((&request["kind"], &request["signature_holds"]), (&"request".into(), &true.into()));
    assert_eq!(request["sans"], serde_json::json!(["DNS:node", "IP:10.0.0.1"]));
    assert_eq!(files[1]["items"][0]["ca"], true);
}

#[test]
fn dates_with_an_offset_that_no_clock_has_are_shown_in_utc() {
    let bench = Bench::empty();
    let odd = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/odd/offset-of-a-hundred-days.pem");
    let seen = bench.run(&["inspect", odd, "--json"]).ok().json();
    let item = &seen["files"][0]["items"][0];
    for field in ["not_before", "not_after"] {
        assert!(item[field].as_str().is_some_and(|time| time.ends_with('Z')), "{item}");
    }
    bench.run(&["inspect", odd]).ok();
}

#[test]
fn a_directory_with_a_revocation_list_and_requests_is_verified_without_them() {
    let bench = Bench::new();
    bench.run(&["issue", "server1"]).ok();
    bench.run(&["crl"]).ok();
    let elsewhere = bench.root().join("node");
    bench.run(&["--pki-dir", text(&elsewhere), "csr", "server2"]).ok();
    std::fs::copy(elsewhere.join("server2.csr"), bench.file("server2.pem")).unwrap();
    std::fs::write(bench.file(".server3.pem"), "half").unwrap();
    let ran = bench.run(&["verify", "--json"]).ok().json();
    let files: Vec<_> =
        ran["results"].as_array().unwrap().iter().map(|one| one["file"].to_string()).collect();
    assert!(!files.is_empty() && files.iter().all(|file| file.contains("server1.pem")), "{files:?}");
    // Given by name, it is what was meant, and no certificate.
    for list in ["crl.pem", "crl.der"] {
        let ran = bench.run(&["verify", text(&bench.file(list))]);
        assert!(ran.code == Some(1) && ran.out.contains("EP031 not-a-certificate"), "{ran:?}");
        assert!(ran.out.contains("the file holds a revocation list"), "{ran:?}");
        assert!(ran.out.contains("--crl FILE"), "{ran:?}");
    }
}

#[test]
fn a_directory_is_verified_without_all_that_is_no_certificate() {
    let bench = Bench::new();
    bench.run(&["issue", "server1"]).ok();
    bench.run(&["crl"]).ok();
    let words = bench.root().join("words");
    std::fs::write(&words, "a passphrase\n").unwrap();
    let out = |file: &str| text(&bench.file(file)).to_owned();
    bench.run(&["export", "server1", "--format", "pem-bundle", "--out", &out("server1-bundle.pem")]).ok();
    let p12 = [
        "export",
        "server1",
        "--format",
        "p12",
        "--out",
        &out("server1.p12"),
        "--passphrase-file",
        text(&words),
    ];
    bench.run(&p12).ok();
    std::fs::copy(bench.file("crl.der"), bench.file("list.crt")).unwrap();
    openssl(&["genpkey", "-algorithm", "ED25519", "-out", &out("privkey.pem")]);
    openssl(&["pkey", "-in", &out("privkey.pem"), "-pubout", "-out", &out("public.pem")]);
    std::fs::create_dir(bench.file(".staged")).unwrap();
    std::fs::write(bench.file(".staged/server2.pem"), "half").unwrap();
    let ran = bench.run(&["verify", "--json"]).ok().json();
    for one in ran["results"].as_array().unwrap() {
        assert!(one["file"].as_str().unwrap().ends_with("/server1.pem"), "{one}");
    }
    // One that is meant to be a certificate is not passed over.
    std::fs::write(bench.file("server3.pem"), "half").unwrap();
    let ran = bench.run(&["verify"]);
    assert!(ran.code == Some(1) && ran.out.contains("EP030 not-pem"), "{ran:?}");
    let ran = bench.run(&["verify", &out("server1.p12")]);
    assert!(ran.code == Some(1) && ran.out.contains("openssl pkcs12 -in"), "{ran:?}");
    let shown = bench.run(&["inspect", text(&bench.pki())]).ok();
    assert!(!shown.out.contains(".staged"), "{shown:?}");
}

#[test]
fn names_go_wherever_certificate_files_do() {
    let bench = Bench::new();
    bench.run(&["issue", "etcd-1.example.com"]).ok();
    for words in [
        &["verify", "etcd-1.example.com"][..],
        &["inspect", "etcd-1.example.com"],
        &["inspect", "ca"],
        &["verify", "etcd-1.example.com", "--ca", "ca"],
    ] {
        let ran = bench.run(words).ok();
        assert!(ran.out.contains(".pem"), "{ran:?}");
    }
    for words in [
        &["verify", "etcd-2"][..],
        &["inspect", "etcd-2"],
        &["verify", "etcd-1.example.com", "--ca", "etcd-2"],
        &["verify", "--connect", "127.0.0.1:1", "--cert", "etcd-2"],
    ] {
        bench.run(words).refused(2, "there is no file etcd-2, and no certificate of that name");
    }
    // What is there by that name goes first.
    std::fs::copy(bench.file("ca.pem"), bench.root().join("etcd-1.example.com")).unwrap();
    let ran = bench.run(&["inspect", "etcd-1.example.com"]).ok();
    assert!(ran.out.contains("CA certificate"), "{ran:?}");
}

#[test]
fn dates_go_wherever_times_do_and_hosts_are_taken_out_of_urls() {
    let bench = Bench::new();
    bench.run(&["issue", "server1", "--ip", "10.0.0.1", "--ip", "fd00::1"]).ok();
    let later = (time::OffsetDateTime::now_utc() + time::Duration::days(400)).date();
    for at in [format!("{later}"), format!("{later}T12:00:00Z"), format!("{later} 12:00:00+02:00")] {
        let ran = bench.run(&["verify", "server1", "--at", &at]);
        assert!(ran.code == Some(1) && ran.out.contains("EP012 expired"), "{at}: {ran:?}");
        bench.run(&["--pki-dir", &format!("until {at}"), "init-ca", "--not-after", &at]).ok();
    }
    bench.run(&["verify", "server1", "--at", "tomorrow"]).refused(2, "give a date such as 2027-01-31");
    let judged = |words: &[&str]| bench.run(&[&["verify", "server1", "--role"], words].concat());
    for host in
        ["10.0.0.1:2379", "https://10.0.0.1:2379", "[fd00::1]:2379", "https://server1:2379/health", "fd00::1"]
    {
        judged(&["server", "--host", host]).ok();
    }
    let ran = judged(&["server", "--host", "https://10.0.0.2:2379"]);
    assert!(ran.code == Some(1) && ran.out.contains("--ip 10.0.0.2"), "{ran:?}");
    judged(&["peer", "--source-ip", "https://10.0.0.1:2380"]).ok();
    for words in [
        &["server", "--host", "10.0.0.1/24"][..],
        &["peer", "--source-ip", "server1"],
        &["server", "--connect", "10.0.0.1"],
        &["server", "--node", "ftp://10.0.0.1"],
        &["server", "--node", "10.0.0.1:22"],
    ] {
        judged(words).refused(2, "give ");
    }
    bench.run(&["inspect", "https://10.0.0.1"]).refused(2, "names no host and port");
    let issue = |option: &str, text: &str| bench.run(&["issue", "server2", option, text]);
    issue("--ip", "10.0.0.1:2379").refused(2, "give an address without port");
    issue("--ip", "server2").refused(2, "use --dns server2");
    issue("--dns", "https://server2:2379").refused(2, "give a host name");
    issue("--dns", "10.0.0.1").refused(2, "use --ip 10.0.0.1");
}

/// DER of `tag` with a content of at most 65,535 bytes.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => der.push(short),
        Ok(one) => der.extend([0x81, one]),
        Err(_) => der.extend([&[0x82], &u16::try_from(length).unwrap().to_be_bytes()[..]].concat()),
    }
    der.extend(content);
    der
}

/// A certificate with this end and these extensions; its signature is none.
fn certificate(not_after: &[u8], extensions: &[u8]) -> Vec<u8> {
    let ed25519 = tlv(0x30, &[0x06, 3, 0x2b, 0x65, 0x70]);
    let name = tlv(0x30, &[]);
    let validity = tlv(0x30, &[&tlv(0x17, b"260101000000Z"), not_after].concat());
    let key = tlv(0x30, &[ed25519.clone(), tlv(3, &[0; 33])].concat());
    let extensions = if extensions.is_empty() { Vec::new() } else { tlv(0xa3, &tlv(0x30, extensions)) };
    let parts =
        [tlv(0xa0, &[2, 1, 2]), tlv(2, &[1]), ed25519.clone(), name.clone(), validity, name, key, extensions];
    tlv(0x30, &[tlv(0x30, &parts.concat()), ed25519, tlv(3, &[0; 65])].concat())
}

#[test]
fn inspect_shows_every_date_and_extension_or_says_that_it_cannot() {
    let mut all = Vec::new();
    for text in [
        "000101000000Z",
        "491231235959Z",
        "500101000000Z",
        "261231235960Z",
        "2612312359Z",
        "991231235959-2400",
        "260101000000+9959",
        "999999999999Z",
        "",
    ] {
        all.push(certificate(&tlv(0x17, text.as_bytes()), &[]));
    }
    for text in [
        "00000101000000Z",
        "99991231235959Z",
        "99991231235959-2359",
        "00000101000000+2359",
        "20260101000000.5Z",
        "20260101000060Z",
        "2026010100Z",
        "20260101000000",
    ] {
        all.push(certificate(&tlv(0x18, text.as_bytes()), &[]));
    }
    let end = tlv(0x17, b"360101000000Z");
    // id-ce 1 to 60, and id-pe 1 to 30, each with contents of every kind.
    let contents: [&[u8]; 12] = [
        b"",
        b"\x30\x00",
        b"\x04\x00",
        b"\x04\x02ab",
        b"\x03\x01\x00",
        b"\x03\x03\x07\xff\x80",
        b"\x02\x01\xff",
        b"\x30\x06\x02\x04\x7f\xff\xff\xff",
        b"\x30\x03\x01\x01\xff",
        b"\x30\x06\x86\x04\xff\xfe\x00\x1b",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x0a\x06\x08\x80\x80\x80\x80\x80\x80\x80\x01",
    ];
    let oids = (1..=60_u8).map(|last| vec![0x55, 0x1d, last]);
    let oids = oids.chain((1..=30).map(|last| vec![0x2b, 6, 1, 5, 5, 7, 1, last]));
    for oid in oids {
        for content in contents {
            let extension = tlv(0x30, &[tlv(6, &oid), tlv(4, content)].concat());
            all.push(certificate(&end, &extension));
        }
    }
    let bench = Bench::empty();
    let file = bench.root().join("odd.pem");
    let encoded = |der: &Vec<u8>| {
        use base64::Engine;
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    };
    std::fs::write(&file, all.iter().map(encoded).collect::<String>()).unwrap();
    let shown = bench.run(&["inspect", text(&file), "--json"]).ok().json();
    let items = shown["files"][0]["items"].as_array().unwrap();
    assert_eq!(items.len(), all.len());
    let certificates = items.iter().filter(|item| item["kind"] == "certificate").count();
    assert!(certificates > all.len() / 2, "{certificates} of {}", all.len());
    bench.run(&["inspect", text(&file)]).ok();
    assert_ne!(bench.run(&["verify", text(&file), "--ca", text(&file)]).code, None);
}

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
    assert_eq!(bench.run(&["verify", text(&bench.file("crl.pem"))]).code, Some(1));
}

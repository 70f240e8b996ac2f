//! Other tools that issue certificates: each makes a P-256 key and a certificate for `/CN=cN`, signed by the CA of a PKI
//! directory that etcd-pki has made.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Cost, LIMIT, captured, run};

/// A tool: how it is named in tables, the program that must be there, and how it makes the pair with a number.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    program: &'static str,
    make: fn(&Path, usize) -> Cost,
}

pub(crate) const PEERS: [Peer; 3] = [
    Peer { name: "`cfssl gencert`", program: "cfssl", make: cfssl },
    Peer { name: "`certtool`, two commands", program: "certtool", make: certtool },
    Peer { name: "`openssl req`, `openssl x509`", program: "openssl", make: openssl },
];

impl Peer {
    /// Whether it is installed; then what it needs is written to `dir`.
    pub(crate) fn prepare(&self, dir: &Path) -> bool {
        let known =
            Command::new(self.program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if known.is_err() {
            return false;
        }
        std::fs::write(
            dir.join("cfssl.json"),
            r#"{"CN":"c","hosts":["c"],"key":{"algo":"ecdsa","size":256}}"#,
        )
        .unwrap();
        let template = "cn = \"c\"\ndns_name = \"c\"\nexpiration_days = 365\ntls_www_server\nsigning_key\n";
        std::fs::write(dir.join("certtool.cfg"), template).unwrap();
        if self.program == "cfssl" {
            // It reads no PKCS#8 key of a CA.
            let mut convert = Command::new("openssl");
            convert.args(["ec", "-in"]).arg(dir.join("pki/ca-key.pem")).arg("-out").arg(sec1(dir));
            run(&mut convert, LIMIT).unwrap();
        }
        true
    }

    /// Makes a pair.
    pub(crate) fn make(&self, dir: &Path, number: usize) -> Cost {
        (self.make)(dir, number)
    }
}

/// The files of a pair that a tool has made.
pub(crate) fn pair(dir: &Path, number: usize) -> [PathBuf; 2] {
    [dir.join(format!("peer{number}.pem")), dir.join(format!("peer{number}-key.pem"))]
}

fn sec1(dir: &Path) -> PathBuf {
    dir.join("ca-sec1.pem")
}

fn cfssl(dir: &Path, number: usize) -> Cost {
    let mut command = Command::new("cfssl");
    command.args(["gencert", "-loglevel", "5", "-ca"]).arg(dir.join("pki/ca.pem"));
    command.arg("-ca-key").arg(sec1(dir)).arg(dir.join("cfssl.json"));
    let (cost, answer) = captured(&mut command, LIMIT);
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    for (path, field) in pair(dir, number).iter().zip(["cert", "key"]) {
        std::fs::write(path, answer[field].as_str().unwrap()).unwrap();
    }
    cost
}

fn certtool(dir: &Path, number: usize) -> Cost {
    let [cert, key] = pair(dir, number);
    let mut generate = Command::new("certtool");
    generate
        .args(["--generate-privkey", "--key-type", "ecdsa", "--curve", "secp256r1", "--outfile"])
        .arg(&key);
    let mut sign = Command::new("certtool");
    sign.arg("--generate-certificate").arg("--load-privkey").arg(&key);
    sign.arg("--load-ca-certificate").arg(dir.join("pki/ca.pem"));
    sign.arg("--load-ca-privkey").arg(dir.join("pki/ca-key.pem"));
    sign.arg("--template").arg(dir.join("certtool.cfg")).arg("--outfile").arg(&cert);
    run(&mut generate, LIMIT).unwrap() + run(&mut sign, LIMIT).unwrap()
}

fn openssl(dir: &Path, number: usize) -> Cost {
    let [cert, key] = pair(dir, number);
    let request = dir.join(format!("peer{number}.csr"));
    let mut generate = Command::new("openssl");
    generate.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    generate.args(["-subj", "/CN=c", "-addext", "subjectAltName=DNS:c"]);
    generate.arg("-keyout").arg(&key).arg("-out").arg(&request);
    let mut sign = Command::new("openssl");
    sign.args(["x509", "-req", "-days", "365", "-copy_extensions", "copy", "-in"]).arg(&request);
    sign.arg("-CA").arg(dir.join("pki/ca.pem")).arg("-CAkey").arg(dir.join("pki/ca-key.pem"));
    sign.arg("-out").arg(&cert);
    run(&mut generate, LIMIT).unwrap() + run(&mut sign, LIMIT).unwrap()
}

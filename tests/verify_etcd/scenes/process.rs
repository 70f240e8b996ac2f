//! A member whose files change under it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use etcd_pki::host::Service;
use etcd_pki::host::command::command;
use etcd_pki::host::process::{ProcessDir, ProcessHost, Unit};
use etcd_pki::host::supervisor::{Request, Supervised};
use etcd_pki::verify::Code;

use super::super::catalogue::{is_shown, leads_to};
use super::super::go;
use super::super::verify_support::{etcd, free_port, output_of};

/// A supervised member of its own cluster, with the etcd in use.
pub struct Member {
    pub dir: ProcessDir,
    pub supervised: Supervised,
    /// Its client port.
    pub client: String,
    /// The file that names it.
    pub inventory: String,
}

impl Member {
    /// Starts it in a directory with a certificate, its key and a CA, and with more in its environment.
    pub fn start(top: &Path, [cert, key, ca]: &[&Path; 3], more: &[(&str, &str)]) -> Self {
        let dir = ProcessDir::new(top.join("m1"));
        let (client, peer) =
            (format!("127.0.0.1:{}", free_port()), format!("http://127.0.0.1:{}", free_port()));
        let shown = |path: &Path| path.display().to_string();
        let settings = [
            ("ETCD_NAME", "m1".to_owned()),
            ("ETCD_DATA_DIR", shown(&dir.data())),
            ("ETCD_LISTEN_CLIENT_URLS", format!("https://{client}")),
            ("ETCD_ADVERTISE_CLIENT_URLS", format!("https://{client}")),
            ("ETCD_LISTEN_PEER_URLS", peer.clone()),
            ("ETCD_INITIAL_ADVERTISE_PEER_URLS", peer.clone()),
            ("ETCD_INITIAL_CLUSTER", format!("m1={peer}")),
            ("ETCD_CERT_FILE", shown(cert)),
            ("ETCD_KEY_FILE", shown(key)),
            ("ETCD_TRUSTED_CA_FILE", shown(ca)),
        ];
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings: BTreeMap<_, _> =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(more).collect();
        let program = etcd();
        let program = Some(Path::new(program.get_program())).filter(|program| program.is_absolute());
        let etcd = etcd_pki::rehearse::cluster::find_etcd(program).unwrap();
        let unit = Unit { exec: vec![shown(&etcd.path)], address: [127, 0, 0, 1].into() };
        dir.create(&unit, &settings).unwrap();
        let supervised = Supervised::spawn(Path::new(env!("CARGO_BIN_EXE_etcd-pki")), &dir).unwrap();
        supervised.control().ask(Request::Start).unwrap();
        let service = ProcessHost::open("m1", dir.path()).unwrap().service();
        let inventory = shown(&top.join("cluster.toml"));
        let text = format!("[[member]]\nname = \"m1\"\nprocess = {:?}\n", dir.path());
        std::fs::write(&inventory, text).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while service.running().unwrap().is_none() || std::net::TcpStream::connect(&client).is_err() {
            assert!(std::time::Instant::now() < deadline, "it does not come up");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Self { dir, supervised, client, inventory }
    }

    /// What `verify` says of it.
    pub fn judged(&self) -> serde_json::Value {
        let mut tool = command(env!("CARGO_BIN_EXE_etcd-pki"));
        serde_json::from_str(&output_of_both(tool.args(["verify", "--json", "--cluster", &self.inventory])))
            .unwrap()
    }
}

/// What `verify` finds of a member while its files change under it.
pub fn a_member_whose_files_and_process_disagree() {
    if go().is_none() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let pki = top.path().join("pki").display().to_string();
    let tool = |words: &[&str]| {
        let mut tool = command(env!("CARGO_BIN_EXE_etcd-pki"));
        output_of_both(tool.args(words).args(["--pki-dir", &pki]))
    };
    tool(&["init-ca"]);
    tool(&["issue", "m1"]);
    let files = ["m1.pem", "m1-key.pem", "ca.pem"].map(|file| {
        std::fs::copy(Path::new(&pki).join(file), top.path().join(file)).unwrap();
        top.path().join(file)
    });
    let member = Member::start(top.path(), &files.each_ref().map(|file| file.as_path()), &[]);
    let Member { dir, supervised, client, inventory } = &member;
    let finds = |words: &[&str], code: Code| {
        let document: serde_json::Value = serde_json::from_str(&tool(words)).unwrap();
        let mut results = document["results"].as_array().unwrap().iter();
        let has = |one: &serde_json::Value| one["findings"].to_string().contains(&code.to_string());
        assert!(results.any(has), "no {code} in {document}");
        is_shown(code);
    };
    let judge = ["verify", "--json", "--cluster", inventory];
    finds(&judge, Code::CaWithoutClientAuth);
    let base = std::fs::read_to_string(dir.base_file()).unwrap();
    std::fs::write(dir.base_file(), format!("{base}ETCD_CLIENT_CERT_AUTH=true\n")).unwrap();
    finds(&judge, Code::Drift);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    std::fs::copy(Path::new(&pki).join("ca.pem"), top.path().join("ca.pem")).unwrap();
    finds(&judge, Code::CaNotReloaded);
    tool(&["renew", "m1"]);
    finds(&["verify", "--json", "--connect", client], Code::ServedOlder);
    supervised.control().ask(Request::Quit).unwrap();
    // Nobody answers any more, and etcd's own client says so.
    let mut etcdctl = command("etcdctl");
    etcdctl.env("ETCDCTL_API", "2").args(["--endpoints", &format!("http://{client}"), "member", "list"]);
    leads_to(&output_of(etcdctl), Code::Unreachable);
}

fn output_of_both(tool: &mut Command) -> String {
    String::from_utf8(tool.output().unwrap().stdout).unwrap()
}

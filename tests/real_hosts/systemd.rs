//! The systemd room against a real systemd: a container boots Debian's systemd with real etcd, and what we say a unit
//! would start is compared with what it started.
//!
//! Needs root, `systemd-nspawn` and the lab's Debian root (`tests/lab/lab up` makes it under `target/lab`; another one
//! can be named by `ETCDPKI_SYSTEMD_ROOT`). Without them it says that it is skipped.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use etcd_pki::etcd::Config;
use etcd_pki::files::{FileImage, FileMode, FileStat, Meta, Owner};
use etcd_pki::host::command::command;
use etcd_pki::host::{Connection, Host, HostError, Layer, RunOutput, Service, Stream};
use etcd_pki::systemd::SystemdService;

/// A booted container, as a host: commands run in its namespaces.
struct Booted {
    nspawn: Child,
    leader: String,
}

impl Booted {
    fn boot(root: &Path) -> Self {
        let cgroup = format!("etcd-pki-test-{}", std::process::id());
        // A cgroup of its own in both hierarchies, or systemd in there finds the host's.
        let script = format!(
            "for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do \
             [ -e $root/cgroup.procs ] || continue; mkdir -p $root/{cgroup}; echo $$ >$root/{cgroup}/cgroup.procs; done; \
             exec systemd-nspawn -q -D {} -M server1 --volatile=overlay --register=no --keep-unit --private-network \
             --resolv-conf=off -b",
            root.display()
        );
        let mut nspawn = command("sh")
            .args(["-c", &script])
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        let leader = loop {
            let children = format!("/proc/{0}/task/{0}/children", nspawn.id());
            let children = std::fs::read_to_string(children).unwrap_or_default();
            // Its first child is one that makes the container and goes.
            let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if let Some(leader) = children.split_ascii_whitespace().find(|pid| name(pid).trim() == "systemd")
            {
                break leader.to_owned();
            }
            assert!(nspawn.try_wait().unwrap().is_none() && Instant::now() < end, "nspawn does not start");
            std::thread::sleep(Duration::from_millis(50));
        };
        let booted = Self { nspawn, leader };
        loop {
            let state = booted.try_run(&["systemctl", "is-system-running"]);
            if ["running", "degraded"].contains(&state.trim()) {
                booted.write("/etc/hosts", "127.0.0.1 localhost\n", "644");
                return booted;
            }
            assert!(Instant::now() < end, "systemd does not come up: {state}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn try_run(&self, argv: &[&str]) -> String {
        let output = self.run(argv, Duration::from_secs(30)).unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn ok(&self, argv: &[&str]) -> String {
        let output = self.run(argv, Duration::from_secs(30)).unwrap();
        assert_eq!(output.status, Some(0), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn write(&self, path: &str, text: &str, mode: &str) {
        let script = "mkdir -p \"$(dirname \"$1\")\" && printf %s \"$2\" >\"$1\" && chmod \"$3\" \"$1\"";
        self.ok(&["sh", "-c", script, "sh", path, text, mode]);
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // SIGTERM is a clean halt of the container; what is left dies with its init.
        let _ = command("kill").arg(self.nspawn.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && matches!(self.nspawn.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = command("kill").args(["-9", &self.leader]).status();
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
        let cgroup = format!("etcd-pki-test-{}", std::process::id());
        for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"] {
            let _ = command("find")
                .args([&format!("{root}/{cgroup}"), "-depth", "-type", "d", "-delete"])
                .output();
        }
    }
}

impl Host for Booted {
    fn name(&self) -> &str {
        "server1"
    }
    fn read(&self, path: &Path) -> Result<Option<FileImage>, HostError> {
        let path = path.to_str().unwrap();
        let stat = self.try_run(&["stat", "-c", "%a %u %g", path]);
        let mut numbers = stat.split_ascii_whitespace();
        let Some(mode) = numbers.next() else { return Ok(None) };
        let mode = FileMode::new(u32::from_str_radix(mode, 8).unwrap());
        let mut number = || numbers.next().unwrap().parse().unwrap();
        let owner = Owner { uid: number(), gid: number() };
        Ok(Some(FileImage { bytes: self.ok(&["cat", path]).into_bytes(), mode, owner }))
    }
    fn stat(&self, path: &Path) -> Result<Option<FileStat>, HostError> {
        let found = self.try_run(&["stat", path.to_str().unwrap()]);
        assert!(found.is_empty(), "nothing of kubeadm, k3s or RKE2 is there");
        Ok(None)
    }
    fn run(&self, argv: &[&str], _: Duration) -> Result<RunOutput, HostError> {
        let output = command("nsenter").args(["-t", &self.leader, "-a", "--"]).args(argv).output().unwrap();
        Ok(RunOutput { status: output.status.code(), stdout: output.stdout, stderr: output.stderr })
    }
    fn list(&self, _: &Path) -> Result<Vec<String>, HostError> {
        unreachable!()
    }
    fn make_dir(&self, _: &Path, _: Meta) -> Result<bool, HostError> {
        unreachable!()
    }
    fn place(&self, _: &Path, _: &[u8], _: Meta) -> Result<(), HostError> {
        unreachable!()
    }
    fn set_meta(&self, _: &Path, _: Meta) -> Result<(), HostError> {
        unreachable!()
    }
    fn remove(&self, _: &Path) -> Result<(), HostError> {
        unreachable!()
    }
    fn dial(&self, _: SocketAddr, _: Duration) -> Result<Box<dyn Stream>, HostError> {
        unreachable!()
    }
    fn clock(&self) -> Result<SystemTime, HostError> {
        Ok(SystemTime::now())
    }
    fn connections(&self, _: &[u16]) -> Result<Vec<Connection>, HostError> {
        unreachable!()
    }
    fn owner(&self, _: &str) -> Result<Owner, HostError> {
        unreachable!()
    }
    fn loopback(&self) -> IpAddr {
        "127.0.0.1".parse().unwrap()
    }
    fn state_dir(&self) -> PathBuf {
        "/var/lib/etcd-pki".into()
    }
}

/// The root that is named, else the lab's.
fn debian_root() -> Option<PathBuf> {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab");
    let roots = std::fs::read_dir(lab).into_iter().flatten().flatten().map(|entry| entry.path());
    let roots =
        roots.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("root-")));
    let named = std::env::var_os("ETCDPKI_SYSTEMD_ROOT").map(PathBuf::from);
    named.into_iter().chain(roots).find(|root| root.join("usr/bin/etcd").exists())
}

fn booted() -> Option<Arc<Booted>> {
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    match (debian_root(), command("systemd-nspawn").arg("--version").output()) {
        (Some(root), Ok(_)) if is_root => Some(Arc::new(Booted::boot(&root))),
        _ => {
            crate::support::skipped(
                "not root, no systemd-nspawn, or no Debian root: `tests/lab/lab root` makes one",
            );
            None
        }
    }
}

/// Starts the unit and compares what runs with what we said would.
fn start_and_compare(host: &Booted, service: &SystemdService, meant: &BTreeMap<String, String>) {
    let next = service.next_start().unwrap();
    let before = service.running().unwrap();
    let asked = SystemTime::now();
    service.restart().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    let process = loop {
        match service.running().unwrap() {
            Some(process) if before.as_ref().is_none_or(|before| before.identity != process.identity) => {
                break process;
            }
            _ if Instant::now() > end => panic!("{}", host.try_run(&["systemctl", "status", service.name()])),
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    assert_eq!(process.launch.argv, next.argv);
    // What a command substitution would print is not known.
    for (name, value) in next.env.iter().filter(|(name, _)| *name != "GOMAXPROCS") {
        assert_eq!(process.launch.env.get(name), Some(value), "{name}");
    }
    let etcds = process.launch.env.keys().filter(|name| name.starts_with("ETCD_"));
    let unsaid: Vec<_> = etcds.filter(|name| !next.env.contains_key(*name)).collect();
    assert!(unsaid.is_empty(), "{unsaid:?}");
    assert_ne!(process.uid, 0);
    let config = Config::of(&process.launch).unwrap();
    let config = match config.file() {
        Some(path) => config.with_file(&host.ok(&["cat", path])).unwrap(),
        None => config,
    };
    for (flag, value) in meant {
        assert_eq!(config.get(flag), Some(value.as_str()));
    }
    let end = Instant::now() + Duration::from_secs(30);
    let serves = |log: &[String]| log.iter().any(|line| line.contains("ready to serve client requests"));
    loop {
        let log = service.log_since(asked).unwrap();
        if serves(&log) {
            break;
        }
        assert!(Instant::now() < end, "{}", log.join("\n"));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// One layout: started as it is, with our layers one after the other, and as it was again.
fn layout(host: &Arc<Booted>, what: &str, files: &[(&str, &str)]) {
    println!("{what}");
    host.try_run(&["systemctl", "stop", "etcd.service"]);
    host.ok(&[
        "sh",
        "-c",
        "rm -rf /etc/systemd/system/etcd.service* /run/systemd/system/etcd.service* /etc/etcd-pki; \
        rm -rf /var/lib/etcd/default /etc/default/etcd",
    ]);
    for (path, text) in files {
        host.write(path, text, "644");
    }
    host.ok(&["systemctl", "daemon-reload"]);
    let service = SystemdService::find(Arc::clone(host) as Arc<dyn Host>, Some("etcd2")).unwrap();
    assert_eq!(service.name(), "etcd.service", "the canonical name");
    let mut meant = BTreeMap::new();
    start_and_compare(host, &service, &meant);
    let first = service.running().unwrap().unwrap();

    let layers = [
        ("25-insecure_localhost", "http://127.0.0.1:2379,http://127.0.0.1:4001"),
        ("40-tls", "http://127.0.0.1:4001"),
    ];
    let layers = layers.map(|(name, urls)| Layer {
        name,
        // Listening somewhere without advertising is an error of etcd's.
        settings: BTreeMap::from(
            [("listen-client-urls", urls), ("advertise-client-urls", "http://127.0.0.1:4001")]
                .map(|(flag, value)| (flag.to_owned(), value.to_owned())),
        ),
    });
    let mut placed = Vec::new();
    for count in 1..=layers.len() {
        for file in service.layer_files(&layers[..count]).unwrap() {
            let path = file.path.to_str().unwrap().to_owned();
            host.write(&path, &file.content, &file.meta.mode.to_string());
            if let Some(owner) = file.meta.owner {
                host.ok(&["chown", &format!("{}:{}", owner.uid, owner.gid), &path]);
            }
            placed.push(path);
        }
        meant.extend(layers[count - 1].settings.clone());
        start_and_compare(host, &service, &meant);
        assert_eq!(service.base().unwrap(), first_base(&first, &service), "{what}");
    }
    for path in placed.iter().rev() {
        host.ok(&["rm", "-f", path]);
    }
    start_and_compare(host, &service, &BTreeMap::new());
    let last = service.running().unwrap().unwrap();
    assert_eq!(last.launch.argv, first.launch.argv);
    let etcds = |env: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        env.iter()
            .filter(|(name, _)| name.starts_with("ETCD_"))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect()
    };
    assert_eq!(etcds(&last.launch.env), etcds(&first.launch.env));
}

/// What the unit would start without ours: the words of the first start, and its variables.
fn first_base(first: &etcd_pki::host::RunningProcess, service: &SystemdService) -> etcd_pki::host::Launch {
    let base = service.base().unwrap();
    assert_eq!(base.argv, first.launch.argv);
    base
}

#[test]
fn what_a_unit_would_start_is_what_it_starts() {
    let Some(host) = booted() else { return };
    let debian = host.ok(&["cat", "/lib/systemd/system/etcd.service"]);
    let unit = |line: &str| {
        let lines =
            debian.lines().filter(|line| !line.starts_with("ExecStart=") && !line.starts_with("Environment"));
        let text = lines.collect::<Vec<_>>().join("\n");
        text.replace(
            "[Service]",
            &format!("[Service]\nEnvironment=ETCD_DATA_DIR=/var/lib/etcd/default\n{line}"),
        )
    };
    let own = "/etc/systemd/system/etcd.service";
    layout(&host, "Debian without a file", &[]);
    layout(
        &host,
        "Debian with a file",
        &[(
            "/etc/default/etcd",
            "# x\nETCD_NAME='a b'\nETCD_LISTEN_CLIENT_URLS=\"http://127.0.0.1:2379\"\nETCD_ADVERTISE_CLIENT_URLS=http://127.0.0.1:2379\n",
        )],
    );
    layout(
        &host,
        "Debian with DAEMON_ARGS",
        &[(
            "/etc/default/etcd",
            "DAEMON_ARGS=\"--listen-client-urls http://127.0.0.1:2379 \\\n --advertise-client-urls 'http://127.0.0.1:2379' --initial-cluster-token 'a b'\"\n",
        )],
    );
    layout(
        &host,
        "cloud-init",
        &[(
            "/run/systemd/system/etcd.service.d/20-cloudinit.conf",
            "[Service]\nEnvironment=\"ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:2379\" 'ETCD_ADVERTISE_CLIENT_URLS=http://127.0.0.1:2379'\nEnvironment=ETCD_NAME=%m-%p-%H-100%%\n",
        )],
    );
    layout(
        &host,
        "flags in ExecStart",
        &[(
            "/etc/systemd/system/etcd.service.d/20-clct.conf",
            "[Service]\nUnsetEnvironment=ETCD_NAME\nExecStart=\nExecStart=/usr/bin/etcd $ETCD_OPTS \\\n  --name=\"server1\" \\\n # no\n  --listen-client-urls=\"http://127.0.0.1:2379\" --advertise-client-urls=http://127.0.0.1:2379\n",
        )],
    );
    let shell = r#"EnvironmentFile=-/etc/etcd/etcd.conf
ExecStart=/bin/bash -c "GOMAXPROCS=$(nproc) exec /usr/bin/etcd --name=\"${NAME}\" --listen-client-urls=\"http://127.0.0.1:2379\" --advertise-client-urls=http://127.0.0.1:2379""#;
    layout(&host, "a shell line", &[(own, &unit(shell)), ("/etc/etcd/etcd.conf", "NAME=server1\n")]);
    let wrapper = r#"NotifyAccess=all
ExecStart=/bin/sh -c "/usr/bin/env ETCD_NAME=b /usr/bin/etcd --listen-client-urls='http://127.0.0.1:2379' --advertise-client-urls='http://127.0.0.1:2379'; true""#;
    // A script of two commands is refused; its process is found all the same.
    host.write(own, &unit(wrapper), "644");
    host.ok(&["systemctl", "daemon-reload"]);
    host.ok(&["systemctl", "restart", "--no-block", "etcd.service"]);
    let service = SystemdService::find(Arc::clone(&host) as Arc<dyn Host>, None).unwrap();
    assert!(service.next_start().is_err());
    let running = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        service
            .running()
            .unwrap()
            .filter(|process| process.launch.env.get("ETCD_NAME").is_some_and(|name| name == "b"))
    });
    assert_eq!(running.expect("the process below the shell").launch.argv[0], "/usr/bin/etcd");
    host.write("/etc/etcd/etcd.yaml", "name: server1\ndata-dir: /var/lib/etcd/default\nlisten-client-urls: http://127.0.0.1:2379\nadvertise-client-urls: http://127.0.0.1:2379\n", "640");
    host.ok(&["chown", "root:etcd", "/etc/etcd/etcd.yaml"]);
    layout(
        &host,
        "a configuration file",
        &[(own, &unit("ExecStart=/usr/bin/etcd --config-file /etc/etcd/etcd.yaml"))],
    );
    let missing = SystemdService::find(host as Arc<dyn Host>, Some("etcd-member")).unwrap_err();
    assert!(missing.to_string().contains("there is no such unit"), "{missing}");
}

//! What stands around the members on real hosts: proxies, flannel and fleet, units that call etcdctl. Nothing of it stops
//! working while the cluster goes to https and back; their own request logs say so.

use crate::lab_support::{Lab, all, differences};
use crate::rows::row;

/// A program that reads and writes through the endpoints it is given, one after the other, by the v2 API, and writes down
/// how each request went. It takes its settings as flannel and fleet do; a request may be tried for so many seconds, as a
/// client does whose member restarts.
const CLIENT: &str = r#"#!/bin/sh
# NAME ENDPOINTS CAFILE CERTFILE KEYFILE
tls=; [ -n "$3" ] && tls="--cacert $3 --cert $4 --key $5"
n=0
while :; do
    n=$((n + 1)) began=$(date +%s%3N) end=$(($(date +%s) + SECONDS)) answer=no
    while [ $answer = no ] && [ "$(date +%s)" -le $end ]; do
        for endpoint in $(echo "$2" | tr , ' '); do
            if curl -fsS -m 1 $tls -X PUT "$endpoint/v2/keys/around/$1/$(hostname)" -d value=$n >/dev/null 2>/run/$1.err &&
                curl -fs -m 1 $tls "$endpoint/v2/keys/around/$1/$(hostname)" | grep -q "\"value\":\"$n\""; then
                answer=yes; break
            fi
        done
        [ $answer = yes ] || sleep 0.1
    done
    echo "$answer $(($(date +%s%3N) - began)) ms $2" >>/var/log/$1.log
    sleep 0.2
done
"#;

const FLANNELD: &str = "[Service]
Environment=FLANNELD_IFACE=eth0
EnvironmentFile=-/etc/default/flanneld
ExecStart=/bin/sh -c 'exec /opt/client flanneld \"$FLANNELD_ETCD_ENDPOINTS\" \"$FLANNELD_ETCD_CAFILE\" \"$FLANNELD_ETCD_CERTFILE\" \"$FLANNELD_ETCD_KEYFILE\"'
Restart=always
[Install]
WantedBy=multi-user.target
";

const FLEET: &str = "[Service]
Environment=\"FLEET_ETCD_SERVERS=http://127.0.0.1:2379\"
ExecStart=/bin/sh -c 'exec /opt/client fleet \"$FLEET_ETCD_SERVERS\" \"$FLEET_ETCD_CAFILE\" \"$FLEET_ETCD_CERTFILE\" \"$FLEET_ETCD_KEYFILE\"'
Restart=always
[Install]
WantedBy=multi-user.target
";

/// How long a request is tried: as long as a member's restart may take. etcd 3.5 takes seven seconds to stop while a
/// client holds a stream open, and serves nobody meanwhile.
fn patience(version: &str) -> u32 {
    if version.starts_with("3.5.") { 20 } else { 5 }
}

/// A unit that calls etcdctl again and again, each call tried for so many seconds.
fn caller(name: &str, seconds: u32, api: &str, command: &str) -> String {
    format!(
        "[Service]\nEnvironment=ETCDCTL_API={api}\nExecStart=/bin/sh -c 'while :; do end=$$(($$(date +%%s) + {seconds})); \
         answer=no; while [ $$answer = no ] && [ $$(date +%%s) -le $$end ]; do {command} >/dev/null 2>&1 && answer=yes \
         || sleep 0.1; done; echo $$answer $$(date +%%s) >>/var/log/{name}.log; sleep 0.3; done'\nRestart=always\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

/// Puts a unit on a host, running.
fn unit(lab: &Lab, host: &str, name: &str, text: &str) {
    let script = format!(
        "cat >/lib/systemd/system/{name}.service <<'END'\n{text}END\nsystemctl daemon-reload; systemctl enable -q --now {name}"
    );
    lab.on(host, &script);
}

/// How often a program on a host was answered, and how often not.
fn requests(lab: &Lab, host: &str, name: &str) -> (usize, usize) {
    let count = |word: &str| {
        lab.on(host, &format!("grep -c '^{word}' /var/log/{name}.log || :")).trim().parse::<usize>().unwrap()
    };
    (count("yes"), count("no"))
}

/// A unit that names its endpoint by a flag; its log says what it is told to.
const BY_FLAG: &str = "[Service]
ExecStart=/bin/sh -c 'while :; do cat /run/by-flag-says 2>/dev/null; sleep 0.5; done' by-flag --etcd-servers=http://127.0.0.1:2379
Restart=always
[Install]
WantedBy=multi-user.target
";

/// The programs of the lab, and where they run. docs/reliability.md has the same names.
const PROGRAMS: [(&str, &str); 7] = [
    ("server1", "flanneld"),
    ("server2", "fleet"),
    ("server3", "backup2"),
    ("server3", "backup3"),
    ("spare1", "behind-v2"),
    ("spare2", "behind-grpc"),
    ("server1", "behind-own"),
];

fn put_client(lab: &Lab, host: &str, seconds: u32) {
    let client = CLIENT.replace("SECONDS", &seconds.to_string());
    lab.on(host, &format!("cat >/opt/client <<'END'\n{client}END\nchmod 755 /opt/client"));
}

fn furnish(lab: &Lab) {
    let seconds = patience(&lab.version);
    for host in ["server1", "server2", "spare1"] {
        put_client(lab, host, seconds);
    }
    lab.on("server1", "echo 'FLANNELD_ETCD_ENDPOINTS=http://127.0.0.1:2379' >/etc/default/flanneld");
    unit(lab, "server1", "flanneld", FLANNELD);
    unit(lab, "server2", "fleet", FLEET);
    unit(
        lab,
        "server3",
        "backup2",
        &caller("backup2", seconds, "2", "/usr/bin/etcdctl set /around/backup2 1"),
    );
    unit(
        lab,
        "server3",
        "backup3",
        &caller("backup3", seconds, "3", "/usr/bin/etcdctl put around-backup3 1"),
    );
    let peers =
        "server1=http://172.16.0.101:2380,server2=http://172.16.0.102:2380,server3=http://172.16.0.103:2380";
    lab.on(
        "spare1",
        &format!(
            "printf 'ETCD_PROXY=on\\nETCD_INITIAL_CLUSTER={peers}\\nETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:2379\\n\
             ETCD_ENABLE_V2=true\\n' >>/etc/default/etcd; systemctl enable -q --now etcd"
        ),
    );
    let behind = "[Service]\nExecStart=/opt/client behind-v2 http://127.0.0.1:2379\nRestart=always\n";
    unit(lab, "spare1", "behind-v2", behind);
    // One that the inventory names, and one on a member's machine that is found there. From 3.5 on it dials the address
    // that it advertises.
    let grpc = "[Service]\nExecStart=/usr/bin/etcd grpc-proxy start --listen-addr=127.0.0.1:23790 \
                --advertise-client-url=127.0.0.1:23790 \
                --endpoints=172.16.0.101:2379,172.16.0.102:2379,172.16.0.103:2379\nRestart=always\n";
    for (host, behind) in [("spare2", "behind-grpc"), ("server1", "behind-own")] {
        unit(lab, host, "etcd-grpc-proxy", grpc);
        let command = format!("/usr/bin/etcdctl --endpoints=127.0.0.1:23790 put around-{behind} 1");
        unit(lab, host, behind, &caller(behind, seconds, "3", &command));
    }
    unit(lab, "server3", "by-flag", BY_FLAG);
}

fn nothing_failed(lab: &Lab, when: &str) {
    for (host, name) in PROGRAMS {
        let (yes, no) = requests(lab, host, name);
        println!("{when}: {name} on {host}: {yes} answered, {no} not");
        assert!(
            yes > 3 && no == 0,
            "{when}: {name} on {host}: {}",
            lab.on(
                host,
                &format!("grep -n -B 1 -A 1 ^no /var/log/{name}.log | tail -n 20; cat /run/{name}.err 2>/dev/null; true")
            ) + &String::from_utf8_lossy(&lab.tool(&["migrate", "report"]).stdout)
        );
    }
}

#[test]
fn everything_around_the_members_follows_them_there_and_back() {
    more("3.4.23");
}

#[test]
fn everything_around_etcd_3_5_follows_it_there_and_back() {
    more("3.5.30");
}

#[test]
fn everything_around_etcd_3_3_follows_it_there_and_back() {
    more("3.3.25");
}

fn more(version: &str) {
    if all() {
        everything_around(version);
    } else {
        crate::support::not_run(&format!("what stands around etcd {version}"));
    }
}

fn everything_around(version: &str) {
    let Some(lab) = Lab::bare(version, "debian", &["--spare", "2"]) else { return };
    let inventory = std::fs::read_to_string(lab.dir.join("cluster.toml")).unwrap()
        + "\n[[proxy]]\nname = \"proxy1\"\nips = [\"172.16.0.151\"]\nssh = \"root@172.16.0.151\"\nkind = \"v2\"\n\
           \n[[proxy]]\nname = \"proxy2\"\nips = [\"172.16.0.152\"]\nssh = \"root@172.16.0.152\"\nkind = \"grpc\"\n\
           \n[[proxy]]\nname = \"etcd-grpc-proxy\"\nips = [\"172.16.0.101\"]\nkind = \"grpc\"\n\
           \n[[client]]\nname = \"flanneld\"\n\n[[client]]\nname = \"fleet\"\n\n[[client]]\nname = \"backup2\"\n\
           \n[[client]]\nname = \"backup3\"\n";
    std::fs::write(lab.home.path().join("cluster.toml"), inventory).unwrap();
    lab.done(&["init-ca"]);
    lab.done(&["issue", "--from", "cluster.toml"]);
    furnish(&lab);
    let before: Vec<_> = (1..=3).map(|host| lab.tree(host)).collect();

    // A unit that was moved and says in its log that it finds no etcd stops it, before a listener is taken away.
    lab.on("server3", "echo 'dial tcp 127.0.0.1:4001: connection refused' >/run/by-flag-says");
    let (exit, code, message, hint) = lab.refused(&["migrate", "apply", "--yes", "--step-timeout", "20"]);
    assert_eq!((exit, code.as_str()), (3, "unit-around"), "{message}");
    assert!(message.contains("server3: by-flag.service: its log says: dial tcp"), "{message}");
    assert!(hint.contains("journalctl -u by-flag.service"), "{hint}");
    lab.on("server3", "rm /run/by-flag-says");
    nothing_failed(&lab, "stopped");

    lab.done(&["migrate", "apply", "--yes"]);
    nothing_failed(&lab, "there");
    let environ = |host: &str, unit: &str| {
        lab.on(host, &format!("tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value {unit})/environ"))
    };
    assert!(environ("server1", "flanneld").contains("FLANNELD_ETCD_ENDPOINTS=http://127.0.0.1:4001"));
    assert!(environ("server2", "fleet").contains("FLEET_ETCD_SERVERS=http://127.0.0.1:4001"));
    let flags = "tr '\\0' ' ' </proc/$(systemctl show -p MainPID --value by-flag)/cmdline";
    assert!(lab.on("server3", flags).contains("--etcd-servers=http://127.0.0.1:4001"));

    // The loopback port is not closed under them.
    let (exit, code, message, hint) = lab.refused(&["migrate", "seal", "--yes"]);
    assert_eq!((exit, code.as_str()), (1, "loopback-in-use"), "{message}");
    assert!(
        message.contains("flanneld.service of server1") && hint.contains("migrate clients"),
        "{message} {hint}"
    );
    // How this one takes certificates is nobody's knowledge but its operator's.
    let (exit, code, message, _) = lab.refused(&["migrate", "clients", "--yes"]);
    assert_eq!((exit, code.as_str()), (3, "unit-around"), "{message}");
    assert!(message.contains("by-flag.service") && message.contains("by hand"), "{message}");
    lab.on("server3", "systemctl disable -q --now by-flag; mv /lib/systemd/system/by-flag.service /run/; systemctl daemon-reload");
    lab.done(&["migrate", "clients", "--yes"]);
    assert!(environ("server1", "flanneld").contains("FLANNELD_ETCD_ENDPOINTS=https://"));
    lab.done(&["migrate", "seal", "--yes"]);
    nothing_failed(&lab, "sealed");

    lab.on(
        "server3",
        "mv /run/by-flag.service /lib/systemd/system/; systemctl daemon-reload; systemctl enable -q by-flag",
    );
    lab.done(&["migrate", "rollback", "--yes"]);
    nothing_failed(&lab, "back");
    for (host, name) in PROGRAMS {
        let (yes, no) = requests(&lab, host, name);
        row("Dependents of the members", &[name, version], &[&yes.to_string(), &no.to_string()]);
    }
    for (host, before) in (1..=3).zip(&before) {
        let left = differences(before, &lab.tree(host));
        assert!(left.is_empty(), "server{host} is not as it was: {left:?}");
    }
    for host in ["spare1", "spare2"] {
        assert_eq!(
            lab.on(
                host,
                "ls /etc/ssl/etcd /etc/etcd-pki /var/lib/etcd-pki/pre-images.json 2>/dev/null; true"
            ),
            ""
        );
    }
}

/// Proxies of a cluster's only member, which nobody else can tell them of, one of them on the member's own machine; and
/// who reaches the other from elsewhere.
#[test]
fn a_v2_proxy_follows_a_single_member_and_those_it_would_cut_off_are_waited_for() {
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--hosts", "1", "--spare", "1"]) else { return };
    let inventory = std::fs::read_to_string(lab.dir.join("cluster.toml")).unwrap()
        + "\n[[proxy]]\nname = \"proxy1\"\nips = [\"172.16.0.151\"]\nssh = \"root@172.16.0.151\"\nkind = \"v2\"\n\
           \n[[client]]\nname = \"etcd-proxy\"\n";
    std::fs::write(lab.home.path().join("cluster.toml"), inventory).unwrap();
    lab.done(&["init-ca"]);
    lab.done(&["issue", "--from", "cluster.toml"]);
    put_client(&lab, "spare1", 30);
    lab.on(
        "spare1",
        "printf 'ETCD_PROXY=on\nETCD_INITIAL_CLUSTER=server1=http://172.16.0.101:2380\n\
         ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379\nETCD_ENABLE_V2=true\n' >>/etc/default/etcd; \
         systemctl enable -q --now etcd",
    );
    let behind = "[Service]\nExecStart=/opt/client behind-one http://127.0.0.1:2379\nRestart=always\n";
    unit(&lab, "spare1", "behind-one", behind);
    put_client(&lab, "server1", 30);
    let proxy = "[Service]\nExecStart=/usr/bin/etcd --proxy on --enable-v2 --data-dir /var/lib/etcd-proxy \
                 --listen-client-urls http://127.0.0.1:2377 --initial-cluster server1=http://172.16.0.101:2380\n\
                 Restart=always\n[Install]\nWantedBy=multi-user.target\n";
    unit(&lab, "server1", "etcd-proxy", proxy);
    unit(
        &lab,
        "server1",
        "behind-own",
        &behind.replace("behind-one http://127.0.0.1:2379", "behind-own http://127.0.0.1:2377"),
    );

    // A program elsewhere reaches the proxy: it is named, and the proxy still listens for it.
    let program = "mkfifo /run/open; exec 3<>/run/open; while :; do timeout 2 nc 172.16.0.151 2379 <&3 >/dev/null; done";
    lab.on("server1", &format!("systemd-run -q --unit=program sh -c '{program}'"));
    let plan = lab.done(&["migrate", "plan"]);
    assert!(plan.contains("172.16.0.101 on port 2379 of proxy1"), "{plan}");
    let told = String::from_utf8(lab.tool(&["migrate", "plan"]).stderr).unwrap();
    assert!(told.contains("the v2 proxy of proxy1 answers 503 for a few seconds"), "{told}");
    let (exit, code, message, _) = lab.refused(&["migrate", "apply", "--yes"]);
    assert_eq!((exit, code.as_str()), (1, "plaintext-clients"), "{message}");
    assert!(message.contains("172.16.0.101 on port 2379 of proxy1"), "{message}");
    let listens = "ss -Hltn 'sport = :2379'";
    assert!(lab.on("spare1", listens).contains("*:2379"));
    lab.on("server1", "systemctl stop program");

    for way in ["apply", "rollback"] {
        lab.done(&["migrate", way, "--yes"]);
        for (host, name) in [("spare1", "behind-one"), ("server1", "behind-own")] {
            let (yes, no) = requests(&lab, host, name);
            let log = format!("/var/log/{name}.log");
            let longest = lab.on(host, &format!("cut -d' ' -f2 {log} | sort -n | tail -n 1; : >{log}"));
            println!("{way}: {name}: {yes} answered, {no} not; the longest took {} ms", longest.trim());
            assert!(yes > 3 && no == 0, "{way}: {name}: {no} of {yes} were not answered");
        }
    }
}

/// A gRPC client that was given both https ports in the pause tries the one that is not served yet less and less often. The
/// last member waits until such a client has found the others.
#[test]
fn a_grpc_client_that_moved_long_ago_is_never_without_a_member() {
    if !all() {
        return crate::support::not_run("a gRPC client that moved long before the second roll");
    }
    let Some(lab) = Lab::with("3.4.23", "debian", &["--spare", "1"]) else { return };
    let program = "mkfifo /run/open; exec 3<>/run/open; while :; do timeout 2 nc 172.16.0.101 2379 <&3 >/dev/null; done";
    lab.on("server2", &format!("systemd-run -q --unit=program sh -c '{program}'"));
    let (_, code, message, _) = lab.refused(&["migrate", "apply", "--yes"]);
    assert_eq!(code, "plaintext-clients", "{message}");

    // etcd's own client library, in a proxy that nobody told the tool of.
    lab.done(&["issue", "library", "--profile", "proxy"]);
    lab.done(&["install", "library", "--host", "root@172.16.0.151", "--owner", "root"]);
    let port =
        |port: u16| (1..=3).map(|i| format!("https://172.16.0.10{i}:{port}")).collect::<Vec<_>>().join(",");
    let library = format!(
        "/usr/bin/etcd grpc-proxy start --listen-addr=127.0.0.1:23790 --endpoints={},{} --cacert=/etc/ssl/etcd/ca.pem \
         --cert=/etc/ssl/etcd/library.pem --key=/etc/ssl/etcd/library-key.pem",
        port(2379),
        port(2378)
    );
    lab.on("spare1", &format!("systemd-run -q --unit=library {library}"));
    let put = "/usr/bin/etcdctl --endpoints=127.0.0.1:23790 put around 1";
    unit(&lab, "spare1", "program-of-grpc", &caller("program-of-grpc", 5, "3", put));
    // Until gRPC tries the ports that do not speak TLS yet but every two minutes.
    std::thread::sleep(std::time::Duration::from_secs(400));

    lab.on("server2", "systemctl stop program");
    // It is seen at 2379 too, now and then, where it tries TLS in vain.
    let run = lab.tool(&["migrate", "apply", "--yes", "--cut-plaintext"]);
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{told}");
    let waited = told.lines().filter(|line| line.contains("speaks TLS to")).collect::<Vec<_>>();
    // The last member has restarted a moment ago.
    std::thread::sleep(std::time::Duration::from_secs(8));
    let (yes, no) = requests(&lab, "spare1", "program-of-grpc");
    println!("{yes} answered, {no} not; {waited:?}");
    assert!(yes > 3 && no == 0, "{no} of {yes} were not answered: {waited:?}");
}

/// The wrapper's container sees its own directory alone: paths of the host's are no use there.
#[test]
fn a_path_that_the_container_does_not_see_fails_in_the_lab_as_in_the_field() {
    let Some(lab) = Lab::with("3.4.23", "container-linux", &["--hosts", "1"]) else { return };
    lab.done(&["install", "server1", "--host", "root@172.16.0.101", "--owner", "etcd:etcd"]);
    let with = |dir: &str| {
        let paths =
            ["CERT_FILE=DIR/server1.pem", "KEY_FILE=DIR/server1-key.pem", "TRUSTED_CA_FILE=DIR/ca.pem"];
        let lines =
            paths.map(|path| format!("Environment=ETCD_PEER_{}\\n", path.replace("DIR", dir))).concat();
        lab.on(
            "server1",
            &format!(
                "printf '[Service]\\nRestart=no\\nEnvironment=ETCD_SSL_DIR=/etc/ssl/etcd\\n{lines}' \
                 >/etc/systemd/system/etcd-member.service.d/99-paths.conf; systemctl daemon-reload; \
                 systemctl restart etcd-member; journalctl -n 20 -o cat -u etcd-member; systemctl is-active etcd-member || :"
            ),
        )
    };
    let said = with("/etc/ssl/etcd");
    assert!(said.trim_end().ends_with("failed") && said.contains("/etc/ssl/etcd/server1.pem"), "{said}");
    let said = with("/etc/ssl/certs");
    assert!(said.trim_end().ends_with("\nactive"), "{said}");
}

//! What stands around the members on real hosts: proxies, flannel and fleet, units that call etcdctl. Nothing of it stops
//! working while the cluster goes to https and back; their own request logs say so.

use crate::lab_support::{Lab, differences};

/// A program that reads and writes through the endpoints it is given, one after the other, by the v2 API, and writes down
/// how each request went. It takes its settings as flannel and fleet do; a request may be tried for five seconds, as a
/// client does whose member restarts.
const CLIENT: &str = r#"#!/bin/sh
# NAME ENDPOINTS CAFILE CERTFILE KEYFILE
tls=; [ -n "$3" ] && tls="--cacert $3 --cert $4 --key $5"
n=0
while :; do
    n=$((n + 1)) end=$(($(date +%s) + 5)) answer=no
    while [ $answer = no ] && [ "$(date +%s)" -le $end ]; do
        for endpoint in $(echo "$2" | tr , ' '); do
            if curl -fsS -m 1 $tls -X PUT "$endpoint/v2/keys/around/$1/$(hostname)" -d value=$n >/dev/null 2>/run/$1.err &&
                curl -fs -m 1 $tls "$endpoint/v2/keys/around/$1/$(hostname)" | grep -q "\"value\":\"$n\""; then
                answer=yes; break
            fi
        done
        [ $answer = yes ] || sleep 0.1
    done
    echo "$answer $(date +%s) $2" >>/var/log/$1.log
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

/// A unit that calls etcdctl again and again, tried for as long as the others try.
fn caller(name: &str, api: &str, command: &str) -> String {
    format!(
        "[Service]\nEnvironment=ETCDCTL_API={api}\nExecStart=/bin/sh -c 'while :; do end=$$(($$(date +%%s) + 5)); \
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

/// The programs of the lab, and where they run.
const PROGRAMS: [(&str, &str); 6] = [
    ("server1", "flanneld"),
    ("server2", "fleet"),
    ("server3", "backup2"),
    ("server3", "backup3"),
    ("spare1", "behind-v2"),
    ("spare2", "behind-grpc"),
];

fn furnish(lab: &Lab) {
    for host in ["server1", "server2", "spare1"] {
        lab.on(host, &format!("cat >/opt/client <<'END'\n{CLIENT}END\nchmod 755 /opt/client"));
    }
    lab.on("server1", "echo 'FLANNELD_ETCD_ENDPOINTS=http://127.0.0.1:2379' >/etc/default/flanneld");
    unit(lab, "server1", "flanneld", FLANNELD);
    unit(lab, "server2", "fleet", FLEET);
    unit(lab, "server3", "backup2", &caller("backup2", "2", "/usr/bin/etcdctl set /around/backup2 1"));
    unit(lab, "server3", "backup3", &caller("backup3", "3", "/usr/bin/etcdctl put around-backup3 1"));
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
    let grpc = "[Service]\nExecStart=/usr/bin/etcd grpc-proxy start --listen-addr=127.0.0.1:23790 \
                --endpoints=172.16.0.101:2379,172.16.0.102:2379,172.16.0.103:2379\nRestart=always\n";
    unit(lab, "spare2", "etcd-grpc-proxy", grpc);
    let command = "/usr/bin/etcdctl --endpoints=127.0.0.1:23790 put around-grpc 1";
    unit(lab, "spare2", "behind-grpc", &caller("behind-grpc", "3", command));
}

fn nothing_failed(lab: &Lab, when: &str) {
    for (host, name) in PROGRAMS {
        let (yes, no) = requests(lab, host, name);
        println!("{when}: {name} on {host}: {yes} answered, {no} not");
        assert!(
            yes > 3 && no == 0,
            "{when}: {name} on {host}: {}",
            lab.on(host, &format!("tail -n 5 /var/log/{name}.log; cat /run/{name}.err 2>/dev/null; true"))
        );
    }
}

#[test]
fn everything_around_the_members_follows_them_there_and_back() {
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--spare", "2"]) else { return };
    let inventory = std::fs::read_to_string(lab.dir.join("cluster.toml")).unwrap()
        + "\n[[proxy]]\nname = \"proxy1\"\nips = [\"172.16.0.151\"]\nssh = \"root@172.16.0.151\"\nkind = \"v2\"\n\
           \n[[proxy]]\nname = \"proxy2\"\nips = [\"172.16.0.152\"]\nssh = \"root@172.16.0.152\"\nkind = \"grpc\"\n\
           \n[[client]]\nname = \"flanneld\"\n\n[[client]]\nname = \"fleet\"\n\n[[client]]\nname = \"backup2\"\n\
           \n[[client]]\nname = \"backup3\"\n";
    std::fs::write(lab.home.path().join("cluster.toml"), inventory).unwrap();
    lab.done(&["init-ca"]);
    lab.done(&["issue", "--from", "cluster.toml"]);
    furnish(&lab);
    let before: Vec<_> = (1..=3).map(|host| lab.tree(host)).collect();

    lab.done(&["migrate", "apply", "--yes"]);
    nothing_failed(&lab, "there");
    let environ = |host: &str, unit: &str| {
        lab.on(host, &format!("tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value {unit})/environ"))
    };
    assert!(environ("server1", "flanneld").contains("FLANNELD_ETCD_ENDPOINTS=http://127.0.0.1:4001"));
    assert!(environ("server2", "fleet").contains("FLEET_ETCD_SERVERS=http://127.0.0.1:4001"));

    // The loopback port is not closed under them.
    let (exit, code, message, hint) = lab.refused(&["migrate", "seal", "--yes"]);
    assert_eq!((exit, code.as_str()), (1, "loopback-in-use"), "{message}");
    assert!(
        message.contains("flanneld.service of server1") && hint.contains("migrate clients"),
        "{message} {hint}"
    );
    lab.done(&["migrate", "clients", "--yes"]);
    assert!(environ("server1", "flanneld").contains("FLANNELD_ETCD_ENDPOINTS=https://"));
    lab.done(&["migrate", "seal", "--yes"]);
    nothing_failed(&lab, "sealed");

    lab.done(&["migrate", "rollback", "--yes"]);
    nothing_failed(&lab, "back");
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

#[test]
fn a_host_named_as_proxy_gets_one_and_its_programs_are_shown_the_way() {
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--hosts", "2", "--spare", "1"]) else { return };
    let inventory = std::fs::read_to_string(lab.dir.join("cluster.toml")).unwrap()
        + "\n[[proxy]]\nname = \"proxy1\"\nips = [\"172.16.0.151\"]\nssh = \"root@172.16.0.151\"\nkind = \"v2\"\n";
    std::fs::write(lab.home.path().join("cluster.toml"), inventory).unwrap();
    lab.done(&["init-ca"]);
    lab.done(&["issue", "--from", "cluster.toml"]);
    let before =
        lab.on("spare1", "find /etc -newer /etc/hostname -type f | sort; systemctl is-enabled etcd || :");

    // A program there goes straight to a member, in plain text.
    let program = "mkfifo /run/open; exec 3<>/run/open; while :; do timeout 2 nc 172.16.0.101 2379 <&3 >/dev/null; done";
    lab.on("spare1", &format!("systemd-run -q --unit=program sh -c '{program}'"));
    let (exit, code, message, _) = lab.refused(&["migrate", "apply", "--yes"]);
    assert_eq!((exit, code.as_str()), (1, "plaintext-clients"), "{message}");
    assert!(message.contains("nc of proxy1 (give it http://127.0.0.1:2379"), "{message}");

    // The proxy is there already, and answers; once the program has moved, the way is free.
    let ask = "curl -fsS -X PUT http://127.0.0.1:2379/v2/keys/by-proxy -d value=1 && curl -fsS http://127.0.0.1:4001/v2/keys/by-proxy";
    assert!(lab.on("spare1", ask).contains("\"value\":\"1\""));
    lab.on("spare1", "systemctl stop program");
    lab.done(&["migrate", "apply", "--yes"]);
    assert!(lab.on("spare1", ask).contains("\"value\":\"1\""));
    assert_eq!(lab.on("spare1", "stat -c %a /etc/ssl/etcd/proxy1-key.pem").trim(), "600");

    lab.done(&["migrate", "rollback", "--yes"]);
    assert_eq!(lab.on("spare1", "systemctl is-active etcd || :").trim(), "inactive");
    let after =
        lab.on("spare1", "find /etc -newer /etc/hostname -type f | sort; systemctl is-enabled etcd || :");
    assert_eq!(before, after);
}

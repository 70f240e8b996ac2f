//! Which unit runs etcd, and what is not ours to configure.

use crate::lab_support::{Lab, differences};

#[test]
fn a_unit_of_another_name_is_named_and_an_alias_is_known_by_its_own() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    let one = "root@172.16.0.101";
    // On Debian etcd2.service is another name of etcd.service: it is that one that is changed.
    let text = lab.done(&["migrate", "plan", one, "--unit", "etcd2", "--print-inventory"]);
    assert!(text.contains("unit = \"etcd.service\""), "{text}");

    // A unit that nobody knows by its name.
    lab.on(
        "server1",
        "systemctl disable -q --now etcd; sed 's/^Alias=.*//' /lib/systemd/system/etcd.service \
         >/etc/systemd/system/store.service; cp -p /etc/default/etcd /etc/default/store; \
         systemctl daemon-reload; systemctl start store",
    );
    let before = lab.tree(1);
    let (exit, code, message, _) = lab.refused(&["migrate", "plan", one]);
    assert_eq!((exit, code.as_str()), (1, "no-answer"), "{message}");
    let (exit, code, message, _) = lab.refused(&["migrate", "plan", one, "--unit", "no-such"]);
    assert_eq!(exit, 1, "{code}: {message}");
    assert!(message.contains("no-such.service"), "{message}");
    for words in [&["apply", "--yes"][..], &["status"], &["rollback", "--yes"]] {
        lab.done(&[&["migrate"], words, &[one, "--unit", "store"]].concat());
    }
    assert_eq!(differences(&before, &lab.tree(1)), Vec::<std::path::PathBuf>::new());

    // What a forgotten edit would put in force at the next restart is shown, and refused until it is accepted.
    let edit = "sed -i 's|^ETCD_ADVERTISE_CLIENT_URLS=.*|ETCD_ADVERTISE_CLIENT_URLS=http://172.16.0.101:12379|' \
                /etc/default/store";
    lab.on("server1", edit);
    let plan = ["migrate", "plan", one, "--unit", "store"];
    let (exit, code, message, hint) = lab.refused(&plan);
    assert_eq!((exit, code.as_str()), (1, "drift"), "{message}");
    assert!(message.contains("12379") && hint.contains("--accept-drift"), "{message} {hint}");
    lab.done(&[&plan[..], &["--accept-drift"]].concat());
}

/// What kubeadm 1.31 writes for a control plane's etcd.
const KUBEADM: &str = "apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/etcd.advertise-client-urls: https://172.16.0.151:2379
  labels:
    component: etcd
    tier: control-plane
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - etcd
    - --advertise-client-urls=https://172.16.0.151:2379
    - --cert-file=/etc/kubernetes/pki/etcd/server.crt
    - --client-cert-auth=true
    - --data-dir=/var/lib/etcd
    - --key-file=/etc/kubernetes/pki/etcd/server.key
    - --listen-client-urls=https://127.0.0.1:2379,https://172.16.0.151:2379
    - --listen-metrics-urls=http://127.0.0.1:2381
    - --listen-peer-urls=https://172.16.0.151:2380
    - --name=spare1
    - --peer-client-cert-auth=true
    - --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt
    image: registry.k8s.io/etcd:3.5.15-0
    name: etcd
  hostNetwork: true
";

/// The unit that k3s' installer writes; RKE2's package brings its like.
const SERVER: &str = "[Unit]
Description=NAME
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
KillMode=process
Delegate=yes
LimitNOFILE=1048576
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStart=/usr/local/bin/NAME server --cluster-init
";

#[test]
fn what_others_keep_is_recognised_refused_and_told_where_to_turn() {
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--hosts", "1", "--spare", "1"]) else { return };
    let spare = lab.dir.join("spare1/root");
    // Without the package's own units, whose etcd does not run there.
    lab.on(
        "spare1",
        "rm -f /lib/systemd/system/etcd*.service /etc/systemd/system/etcd*.service /etc/init.d/etcd",
    );
    lab.on("spare1", "systemctl daemon-reload");
    let refused = || {
        let (exit, _, message, hint) = lab.refused(&["migrate", "plan", "root@172.16.0.151"]);
        assert_eq!(exit, 1, "{message}");
        format!("{message} {hint}")
    };
    assert!(refused().contains("there is no such unit"));

    std::fs::create_dir_all(spare.join("etc/kubernetes/manifests")).unwrap();
    std::fs::write(spare.join("etc/kubernetes/manifests/etcd.yaml"), KUBEADM).unwrap();
    let said = refused();
    assert!(said.contains("static pod of kubeadm") && said.contains("kubeadm certs renew"), "{said}");
    std::fs::remove_file(spare.join("etc/kubernetes/manifests/etcd.yaml")).unwrap();

    for (name, unit, advice) in [
        ("rke2", "lib/systemd/system/rke2-server.service", "rke2 certificate rotate"),
        ("k3s", "etc/systemd/system/k3s.service", "k3s certificate rotate"),
    ] {
        std::fs::write(spare.join(unit), SERVER.replace("NAME", name)).unwrap();
        let data = spare.join(format!("var/lib/rancher/{name}/server"));
        std::fs::create_dir_all(data.join("db/etcd/member")).unwrap();
        lab.on("spare1", "systemctl daemon-reload");
        let said = refused();
        assert!(said.contains(advice), "{name}: {said}");
        std::fs::remove_dir_all(&data).unwrap();
    }
}

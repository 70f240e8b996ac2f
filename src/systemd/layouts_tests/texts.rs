//! Units, drop-ins and environment files as they are shipped or written in the field.

/// Debian's etcd-server 3.4.23.
pub(super) const DEBIAN: &str = "[Unit]
Description=etcd - highly-available key value store
After=network.target

[Service]
Environment=DAEMON_ARGS=
Environment=ETCD_NAME=%H
Environment=ETCD_DATA_DIR=/var/lib/etcd/default
EnvironmentFile=-/etc/default/%p
Type=notify
User=etcd
PermissionsStartOnly=true
#ExecStart=/bin/sh -c \"GOMAXPROCS=$(nproc) /usr/bin/etcd $DAEMON_ARGS\"
ExecStart=/usr/bin/etcd $DAEMON_ARGS
Restart=on-abnormal
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
Alias=etcd2.service
";

/// CoreOS's etcd2.service.
pub(super) const COREOS: &str = "[Unit]
Description=etcd2
Conflicts=etcd.service

[Service]
User=etcd
Type=notify
Environment=ETCD_DATA_DIR=/var/lib/etcd2
Environment=ETCD_NAME=%m
ExecStart=/usr/bin/etcd2
Restart=always
RestartSec=10s
LimitNOFILE=40000
TimeoutStartSec=0
";

/// As CoreOS's cloud-init writes it.
pub(super) const CLOUDINIT: &str = "[Service]
Environment=\"ETCD_ADVERTISE_CLIENT_URLS=http://172.16.0.101:2379\"
Environment=\"ETCD_INITIAL_ADVERTISE_PEER_URLS=http://172.16.0.101:2380\"
Environment=\"ETCD_INITIAL_CLUSTER=server1=http://172.16.0.101:2380\"
Environment=\"ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379\"
Environment=\"ETCD_LISTEN_PEER_URLS=http://172.16.0.101:2380\"
Environment=\"ETCD_NAME=server1\"
";

/// Container Linux's etcd-member.service.
pub(super) const MEMBER: &str = "[Unit]
Description=etcd (System Application Container)
Conflicts=etcd2.service

[Service]
Type=notify
Restart=on-failure
RestartSec=10s
TimeoutStartSec=0
LimitNOFILE=40000

Environment=\"ETCD_IMAGE_TAG=v3.3.15\"
Environment=\"ETCD_NAME=%m\"
Environment=\"ETCD_USER=etcd\"
Environment=\"ETCD_DATA_DIR=/var/lib/etcd\"
Environment=\"RKT_RUN_ARGS=--uuid-file-save=/var/lib/coreos/etcd-member-wrapper.uuid\"

ExecStartPre=/usr/bin/mkdir --parents /var/lib/coreos
ExecStartPre=-/usr/bin/rkt rm --uuid-file=/var/lib/coreos/etcd-member-wrapper.uuid
ExecStart=/usr/lib/coreos/etcd-wrapper $ETCD_OPTS
ExecStop=-/usr/bin/rkt stop --uuid-file=/var/lib/coreos/etcd-member-wrapper.uuid
";

/// As the Container Linux Config Transpiler writes it.
pub(super) const CLCT: &str = "[Service]
ExecStart=
ExecStart=/usr/lib/coreos/etcd-wrapper $ETCD_OPTS \\
  --name=\"server1\" \\
  --listen-peer-urls=\"http://172.16.0.101:2380\" \\
  --listen-client-urls=\"http://0.0.0.0:2379\" \\
  --initial-advertise-peer-urls=\"http://172.16.0.101:2380\" \\
  --initial-cluster=\"server1=http://172.16.0.101:2380\" \\
  --advertise-client-urls=\"http://172.16.0.101:2379\"
";

/// kubespray's.
pub(super) const KUBESPRAY: &str = "[Unit]
Description=etcd
[Service]
Type=notify
User=root
EnvironmentFile=/etc/etcd.env
ExecStart=/usr/local/bin/etcd
NotifyAccess=all
Restart=always
LimitNOFILE=40000
";

/// RHEL's and CentOS's etcd 3.3.
pub(super) const RHEL: &str = r#"[Unit]
Description=Etcd Server
[Service]
Type=notify
WorkingDirectory=/var/lib/etcd/
EnvironmentFile=-/etc/etcd/etcd.conf
User=etcd
# set GOMAXPROCS to number of processors
ExecStart=/bin/bash -c "GOMAXPROCS=$(nproc) /usr/bin/etcd --name=\"${ETCD_NAME}\" --data-dir=\"${ETCD_DATA_DIR}\" --listen-client-urls=\"${ETCD_LISTEN_CLIENT_URLS}\""
Restart=on-failure
LimitNOFILE=65536
"#;

/// One that is told all by a file.
pub(super) const CONFIG_FILE: &str = "[Service]
User=etcd
ExecStart=/usr/bin/etcd --config-file /etc/etcd/etcd.yaml
";

/// The settings of Debian's, kubespray's and RHEL's environment files.
pub(super) const ENV: &str = "ETCD_NAME=\"server1\"
ETCD_LISTEN_PEER_URLS=http://172.16.0.101:2380
ETCD_LISTEN_CLIENT_URLS=http://172.16.0.101:2379
ETCD_ADVERTISE_CLIENT_URLS=http://172.16.0.101:2379
ETCD_DATA_DIR=/var/lib/etcd
";

# How etcd is configured in the field: each function writes one layout into a host's root, before it boots.
# layout_NAME ROOT HOST; called by `lab`, which brings hosts, address and initial_cluster.

# The settings that every layout has to express, as NAME=VALUE lines.
settings() { # HOST
    local at
    at=$(address "$1")
    cat <<END
ETCD_NAME=$1
ETCD_DATA_DIR=/var/lib/etcd/default
ETCD_LISTEN_PEER_URLS=http://$at:2380
ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379
ETCD_INITIAL_ADVERTISE_PEER_URLS=http://$at:2380
ETCD_ADVERTISE_CLIENT_URLS=http://$at:2379
ETCD_INITIAL_CLUSTER=$(initial_cluster)
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_INITIAL_CLUSTER_TOKEN=lab
ETCD_ENABLE_V2=true
END
}

# The same as flags, one a line.
flags() { settings "$1" | awk '{ at = index($0, "="); flag = tolower(substr($0, 6, at - 6)); gsub("_", "-", flag)
    print "--" flag "=" substr($0, at + 1) }'; }

no_debian_unit() { # ROOT
    rm -f "$1"/etc/systemd/system/etcd2.service "$1"/etc/systemd/system/multi-user.target.wants/etcd.service \
        "$1"/lib/systemd/system/etcd.service "$1"/etc/default/etcd
    # Without its unit, systemd would make one of the package's init script, and start it beside ours.
    rm -f "$1"/etc/init.d/etcd "$1"/etc/rc?.d/*etcd
}

enable() { # ROOT UNIT
    ln -sf "/lib/systemd/system/$2" "$1/etc/systemd/system/multi-user.target.wants/$2"
}

layout_debian() {
    settings "$2" >>"$1/etc/default/etcd"
}

# Flags in DAEMON_ARGS: those that the unit or the package set by variable stay variables.
layout_debian_args() {
    local name='^--(name|data-dir)='
    printf 'DAEMON_ARGS="%s"\n' "$(flags "$2" | grep -Ev "$name" | tr '\n' ' ')" >>"$1/etc/default/etcd"
}

# CoreOS before 2017: etcd2.service, configured by cloud-init in /run.
layout_coreos2() {
    no_debian_unit "$1"
    cat >"$1/lib/systemd/system/etcd2.service" <<'END'
[Unit]
Description=etcd2
Conflicts=etcd.service

[Service]
User=etcd
Type=notify
Environment=ETCD_DATA_DIR=/var/lib/etcd2
Environment=ETCD_NAME=%m
ExecStart=/usr/bin/etcd
Restart=always
RestartSec=10s
LimitNOFILE=40000
TimeoutStartSec=0

[Install]
WantedBy=multi-user.target
END
    enable "$1" etcd2.service
    mkdir -p "$1/var/lib/etcd2"
    chroot "$1" chown etcd:etcd /var/lib/etcd2
    chmod 700 "$1/var/lib/etcd2"
    # /run is empty at boot: cloud-init writes it anew each time, and so does this.
    mkdir -p "$1/usr/share/cloudinit"
    {
        echo '[Service]'
        settings "$2" | grep -v '^ETCD_DATA_DIR=' | sed 's/.*/Environment="&"/'
    } >"$1/usr/share/cloudinit/20-cloudinit.conf"
    cat >"$1/lib/systemd/system/cloudinit.service" <<'END'
[Unit]
Description=Write what cloud-init would
Before=etcd2.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'mkdir -p /run/systemd/system/etcd2.service.d && cp /usr/share/cloudinit/20-cloudinit.conf /run/systemd/system/etcd2.service.d/ && systemctl daemon-reload && systemctl start --no-block etcd2.service'

[Install]
WantedBy=multi-user.target
END
    # etcd2 itself waits for cloud-init, which starts it.
    rm "$1/etc/systemd/system/multi-user.target.wants/etcd2.service"
    enable "$1" cloudinit.service
}

# Container Linux and Flatcar: etcd-member.service, flags in ExecStart of a drop-in that clct wrote. The wrapper is the
# real one's shape, with etcd itself where rkt or docker would be.
layout_container_linux() {
    no_debian_unit "$1"
    mkdir -p "$1/usr/lib/coreos" "$1/etc/systemd/system/etcd-member.service.d"
    cat >"$1/usr/lib/coreos/etcd-wrapper" <<'END'
#!/bin/sh
# As the real one, which starts a container: etcd sees ${ETCD_SSL_DIR} as /etc/ssl/certs, and nothing else of /etc/ssl.
export ETCD_SSL_DIR="${ETCD_SSL_DIR:-/etc/ssl/certs}"
exec unshare -m sh -e -c '
    mkdir -p /run/etcd-ssl
    mount --bind "$ETCD_SSL_DIR" /run/etcd-ssl
    mount -t tmpfs tmpfs /etc/ssl
    mkdir /etc/ssl/certs
    mount --bind /run/etcd-ssl /etc/ssl/certs
    exec setpriv --reuid="$ETCD_USER" --regid="$ETCD_USER" --init-groups /usr/bin/etcd "$@"' etcd-wrapper "$@"
END
    chmod 755 "$1/usr/lib/coreos/etcd-wrapper"
    cat >"$1/lib/systemd/system/etcd-member.service" <<'END'
[Unit]
Description=etcd (System Application Container)
Wants=network-online.target network.target
After=network-online.target
Conflicts=etcd.service etcd2.service

[Service]
Type=notify
Restart=on-failure
RestartSec=10s
TimeoutStartSec=0
LimitNOFILE=40000
Environment="ETCD_IMAGE_TAG=v3.4.23"
Environment="ETCD_NAME=%m"
Environment="ETCD_USER=etcd"
Environment="ETCD_DATA_DIR=/var/lib/etcd"
ExecStart=/usr/lib/coreos/etcd-wrapper $ETCD_OPTS

[Install]
WantedBy=multi-user.target
END
    {
        echo '[Service]'
        echo 'UnsetEnvironment=ETCD_NAME ETCD_DATA_DIR ETCD_IMAGE_TAG'
        echo 'ExecStart='
        echo 'ExecStart=/usr/lib/coreos/etcd-wrapper $ETCD_OPTS \'
        flags "$2" | sed 's/=\(.*\)/="\1"/; s/^/  /; $!s/$/ \\/'
    } >"$1/etc/systemd/system/etcd-member.service.d/20-clct-etcd-member.conf"
    enable "$1" etcd-member.service
}

layout_kubespray() {
    no_debian_unit "$1"
    cat >"$1/lib/systemd/system/etcd.service" <<'END'
[Unit]
Description=etcd
After=network.target

[Service]
Type=notify
User=root
EnvironmentFile=/etc/etcd.env
ExecStart=/usr/bin/etcd
NotifyAccess=all
Restart=always
RestartSec=10s
LimitNOFILE=40000

[Install]
WantedBy=multi-user.target
END
    enable "$1" etcd.service
    settings "$2" >"$1/etc/etcd.env"
    chmod 640 "$1/etc/etcd.env"
}

# What the YAML of layout config-file says. Configured by a file, 3.4 serves the v3 gateway and v2 only where the file says
# so; 3.3 knows no such key and serves both.
config_file_flags() {
    flags "$1"
    echo --enable-grpc-gateway=true
}

layout_config_file() {
    no_debian_unit "$1"
    cat >"$1/lib/systemd/system/etcd.service" <<'END'
[Unit]
Description=etcd
After=network.target

[Service]
Type=notify
User=etcd
ExecStart=/usr/bin/etcd --config-file=/etc/etcd/etcd.conf.yml
Restart=on-failure
LimitNOFILE=40000

[Install]
WantedBy=multi-user.target
END
    enable "$1" etcd.service
    mkdir -p "$1/etc/etcd"
    {
        echo '# This is the configuration file for the etcd server.'
        config_file_flags "$2" | sed 's/^--//; s/=/: /; s/: \(http.*\)$/: "\1"/; s/: \(server.*=.*\)$/: "\1"/'
    } >"$1/etc/etcd/etcd.conf.yml"
    chroot "$1" chown root:etcd /etc/etcd/etcd.conf.yml
    chmod 640 "$1/etc/etcd/etcd.conf.yml"
}

# The same without a word of either: on 3.4 gRPC is all that is served then.
layout_config_file_grpc() {
    config_file_flags() { flags "$1" | grep -v '^--enable-v2='; }
    layout_config_file "$@"
}

# RHEL 7 and CentOS 7: /etc/etcd/etcd.conf and a shell around etcd that repeats some of it as flags, which only
# etcd 3.3 and older take.
layout_rhel() {
    no_debian_unit "$1"
    local line='/usr/bin/etcd'
    [[ $version == 3.3.* ]] &&
        line+=' --name=\"${ETCD_NAME}\" --data-dir=\"${ETCD_DATA_DIR}\" --listen-client-urls=\"${ETCD_LISTEN_CLIENT_URLS}\"'
    cat >"$1/lib/systemd/system/etcd.service" <<END
[Unit]
Description=Etcd Server
After=network.target
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
WorkingDirectory=/var/lib/etcd/
EnvironmentFile=-/etc/etcd/etcd.conf
User=etcd
# set GOMAXPROCS to number of processors
ExecStart=/bin/bash -c "GOMAXPROCS=\$(nproc) $line"
Restart=on-failure
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
END
    enable "$1" etcd.service
    mkdir -p "$1/etc/etcd"
    {
        echo '#[Member]'
        settings "$2" | sed 's/=\(.*\)$/="\1"/'
    } >"$1/etc/etcd/etcd.conf"
}

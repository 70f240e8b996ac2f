//! The live migration on real hosts: reached by ssh, run by systemd, configured as etcd is in the field.

use etcd_pki::etcd::Scheme;
use etcd_pki::rehearse::Figures;
use etcd_pki::rehearse::load::Speak;

use crate::lab_support::{Lab, all, answers, differences, finish, start};

/// What a bare restart of each member in turn costs, for comparison.
fn bare_restart(lab: &Lab, unit: &str) -> Figures {
    let load = start(lab);
    for host in 1..=lab.hosts {
        lab.on(&format!("server{host}"), &format!("systemctl restart {unit}"));
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    finish(lab, load, Scheme::Http)
}

/// The end of the way there, asked on the wire: https on 2379 and 2380 for those with a certificate, plain HTTP on the
/// loopback port only.
fn is_https(lab: &Lab, sealed: bool) {
    let (known, unknown) = (lab.client_tls(), lab.anonymous_tls());
    for at in lab.addresses() {
        for port in [2379, 2380] {
            answers(at, Scheme::Https, port, Some(&known)).unwrap();
            assert!(answers(at, Scheme::Https, port, Some(&unknown)).is_err(), "{at}:{port} takes anyone");
            assert!(answers(at, Scheme::Http, port, None).is_err(), "{at}:{port} still speaks http");
        }
        for (scheme, port) in [(Scheme::Http, 4001), (Scheme::Https, 2378)] {
            assert!(answers(at, scheme, port, Some(&known)).is_err(), "{at}:{port} is open");
        }
    }
    for host in 1..=lab.hosts {
        let curl =
            format!("curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:4001/{}", "health || true");
        let expected = if sealed { "000" } else { "200" };
        assert_eq!(lab.on(&format!("server{host}"), &curl), expected, "the loopback port");
        let key = lab.root(host).join(format!("etc/ssl/etcd/server{host}-key.pem"));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(key).unwrap()) & 0o777;
        assert_eq!(mode, 0o600);
    }
}

/// A cell of version and layout: forward (sealed on the way if asked) and back, under load, watched.
fn cell(version: &str, layout: &str, unit: &str, seal: bool) {
    let Some(lab) = Lab::up(version, layout) else { return };
    let before: Vec<_> = (1..=lab.hosts).map(|host| lab.tree(host)).collect();
    lab.inside(|| {
        let bare = bare_restart(&lab, unit);
        let load = start(&lab);
        let plan = lab.done(&["migrate", "plan"]);
        assert_eq!(plan.matches("restart →").count(), 6, "{plan}");

        // Clients that speak plain text are waited for, then cut off by nobody.
        let (exit, code, message, _) = lab.refused(&["migrate", "apply", "--yes"]);
        assert_eq!((exit, code.as_str()), (1, "plaintext-clients"), "{message}");
        assert!(message.contains("172.16.0.1 on port 2379 of server"), "{message}");
        load.move_to(Speak::Https, Some(lab.client_tls())).unwrap();
        lab.done(&["migrate", "apply", "--yes"]);
        is_https(&lab, false);
        lab.done(&["migrate", "status"]);
        assert!(lab.done(&["migrate", "apply", "--yes"]).contains("Nothing had to be done"));
        if seal {
            lab.done(&["migrate", "seal", "--yes"]);
            is_https(&lab, true);
        }
        let there = load.so_far();

        let (exit, code, message, _) = lab.refused(&["migrate", "rollback", "--yes"]);
        assert_eq!((exit, code.as_str()), (1, "tls-clients"), "{message}");
        load.move_to(Speak::Http, None).unwrap();
        lab.done(&["migrate", "rollback", "--yes"]);
        let figures = finish(&lab, load, Scheme::Http);
        println!(
            "cell {layout} × etcd {version}: {} writes, {} failed, {} lost, {} missed; longest gap {} ms there, {} ms in \
             all, {} ms at a bare restart; slowest write {} ms",
            figures.writes,
            figures.failed,
            figures.lost,
            figures.missed,
            there.longest_gap_ms,
            figures.longest_gap_ms,
            bare.longest_gap_ms,
            figures.slowest_ms
        );
        assert_eq!((figures.failed, figures.lost, figures.missed), (0, 0, 0));
        for at in lab.addresses() {
            answers(at, Scheme::Http, 2379, None).unwrap();
            assert!(answers(at, Scheme::Https, 2379, Some(&lab.client_tls())).is_err());
        }
    });
    for (host, before) in (1..=lab.hosts).zip(&before) {
        let left = differences(before, &lab.tree(host));
        assert!(left.is_empty(), "server{host} is not as it was: {left:?}");
    }
}

/// Whether a cell is run: where not all are asked for, one of each layout and of each version is.
fn is_run(version: &str, layout: &str) -> bool {
    const ALWAYS: [(&str, &str); 7] = [
        ("3.4.23", "debian"),
        ("3.5.16", "debian-args"),
        ("3.4.23", "coreos2"),
        ("3.4.23", "container-linux"),
        ("3.5.30", "kubespray"),
        ("3.5.30", "config-file"),
        ("3.3.25", "rhel"),
    ];
    let run = all() || ALWAYS.contains(&(version, layout));
    if !run {
        crate::support::not_run(&format!("etcd {version} configured as {layout}, in the lab"));
    }
    run
}

/// One test a cell: `name: version, layout, unit`.
macro_rules! cells {
    ($($name:ident: $version:literal, $layout:literal, $unit:literal;)*) => {$(
        #[test]
        fn $name() {
            if is_run($version, $layout) {
                cell($version, $layout, $unit, $layout == "debian");
            }
        }
    )*};
}

cells! {
    debian_3_3_25: "3.3.25", "debian", "etcd";
    debian_3_4_23: "3.4.23", "debian", "etcd";
    debian_3_5_16: "3.5.16", "debian", "etcd";
    debian_3_5_30: "3.5.30", "debian", "etcd";
    debian_daemon_args_3_3_25: "3.3.25", "debian-args", "etcd";
    debian_daemon_args_3_4_23: "3.4.23", "debian-args", "etcd";
    debian_daemon_args_3_5_16: "3.5.16", "debian-args", "etcd";
    debian_daemon_args_3_5_30: "3.5.30", "debian-args", "etcd";
    coreos_etcd2_3_3_25: "3.3.25", "coreos2", "etcd2";
    coreos_etcd2_3_4_23: "3.4.23", "coreos2", "etcd2";
    coreos_etcd2_3_5_16: "3.5.16", "coreos2", "etcd2";
    coreos_etcd2_3_5_30: "3.5.30", "coreos2", "etcd2";
    container_linux_3_3_25: "3.3.25", "container-linux", "etcd-member";
    container_linux_3_4_23: "3.4.23", "container-linux", "etcd-member";
    container_linux_3_5_16: "3.5.16", "container-linux", "etcd-member";
    container_linux_3_5_30: "3.5.30", "container-linux", "etcd-member";
    kubespray_3_3_25: "3.3.25", "kubespray", "etcd";
    kubespray_3_4_23: "3.4.23", "kubespray", "etcd";
    kubespray_3_5_16: "3.5.16", "kubespray", "etcd";
    kubespray_3_5_30: "3.5.30", "kubespray", "etcd";
    config_file_3_3_25: "3.3.25", "config-file", "etcd";
    config_file_3_4_23: "3.4.23", "config-file", "etcd";
    config_file_3_5_16: "3.5.16", "config-file", "etcd";
    config_file_3_5_30: "3.5.30", "config-file", "etcd";
    rhel_3_3_25: "3.3.25", "rhel", "etcd";
    fedora_3_4_23: "3.4.23", "rhel", "etcd";
    fedora_3_5_16: "3.5.16", "rhel", "etcd";
    fedora_3_5_30: "3.5.30", "rhel", "etcd";
}

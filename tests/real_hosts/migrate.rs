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

/// A cell that is run only when all are asked for; it is said when it is not.
fn more(version: &str, layout: &str, unit: &str) {
    if all() {
        cell(version, layout, unit, false);
    } else {
        crate::support::not_run(&format!("etcd {version} configured as {layout}, in the lab"));
    }
}

#[test]
fn debian_with_3_4_23_there_sealed_and_back() {
    cell("3.4.23", "debian", "etcd", true);
}

#[test]
fn kubespray_with_3_5_30() {
    cell("3.5.30", "kubespray", "etcd", false);
}

#[test]
fn rhel_with_3_3_25() {
    cell("3.3.25", "rhel", "etcd", false);
}

#[test]
fn coreos_etcd2_with_3_4_23() {
    cell("3.4.23", "coreos2", "etcd2", false);
}

#[test]
fn container_linux_with_3_4_23() {
    cell("3.4.23", "container-linux", "etcd-member", false);
}

#[test]
fn debian_daemon_args_with_3_5_16() {
    cell("3.5.16", "debian-args", "etcd", false);
}

#[test]
fn config_file_with_3_5_30() {
    cell("3.5.30", "config-file", "etcd", false);
}

#[test]
fn the_other_cells() {
    const LAYOUTS: [(&str, &str); 7] = [
        ("debian", "etcd"),
        ("debian-args", "etcd"),
        ("coreos2", "etcd2"),
        ("container-linux", "etcd-member"),
        ("kubespray", "etcd"),
        ("config-file", "etcd"),
        ("rhel", "etcd"),
    ];
    const RUN: [(&str, &str); 7] = [
        ("3.4.23", "debian"),
        ("3.5.30", "kubespray"),
        ("3.3.25", "rhel"),
        ("3.4.23", "coreos2"),
        ("3.4.23", "container-linux"),
        ("3.5.16", "debian-args"),
        ("3.5.30", "config-file"),
    ];
    for version in ["3.3.25", "3.4.23", "3.5.16", "3.5.30"] {
        for (layout, unit) in LAYOUTS {
            // 3.4 serves no gateway to writers when it is configured by a file.
            let no_gateway = layout == "config-file" && matches!(version, "3.3.25" | "3.4.23");
            if !RUN.contains(&(version, layout)) && !no_gateway {
                more(version, layout, unit);
            }
        }
    }
}

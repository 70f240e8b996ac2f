//! The live migration on real hosts: reached by ssh, run by systemd, configured as etcd is in the field.

use etcd_pki::etcd::Scheme;
use etcd_pki::rehearse::Figures;
use etcd_pki::rehearse::load::Speak;

use crate::lab_support::ctl::CtlLoad;
use crate::lab_support::{Lab, all, answers, differences, finish, start};
use crate::rows::row;

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

/// A layout as docs/reliability.md has it.
fn described(version: &str, layout: &str) -> &'static str {
    match layout {
        "debian" => "Debian, `/etc/default/etcd`",
        "debian-args" => "Debian, `DAEMON_ARGS`",
        "coreos2" => "CoreOS etcd2.service",
        "container-linux" => "Container Linux flags",
        "kubespray" => "kubespray",
        "config-file" => "`--config-file`",
        "rhel" if version.starts_with("3.3.") => "RHEL's shell wrapper",
        "rhel" => "the same as Fedora has it, without flags",
        other => panic!("{other} is in no table"),
    }
}

/// A cell of version and layout: forward (sealed on the way if asked) and back, under load, watched.
fn cell(version: &str, layout: &str, unit: &str, seal: bool) {
    // In the short form one layout has three members; how the others are read and written, one member shows.
    let hosts = if all() || layout == "debian" { "3" } else { "1" };
    let Some(lab) = Lab::with(version, layout, &["--hosts", hosts]) else { return };
    let before: Vec<_> = (1..=lab.hosts).map(|host| lab.tree(host)).collect();
    lab.inside(|| {
        let bare = if all() { bare_restart(&lab, unit) } else { Figures::default() };
        let load = start(&lab);
        let plan = lab.done(&["migrate", "plan"]);
        assert_eq!(plan.matches("restart →").count(), 2 * usize::from(lab.hosts), "{plan}");

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
        let count = |number: u64| number.to_string();
        let gap = |figures: &Figures| format!("{} ms", figures.longest_gap_ms);
        row(
            "Real hosts",
            &[described(version, layout), version],
            &[
                &count(figures.writes),
                &count(figures.failed),
                &count(figures.lost),
                &count(figures.missed),
                &gap(&there),
                &gap(&figures),
                &gap(&bare),
            ],
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

/// Configured by a file that says nothing of it, 3.4 serves neither the gateway nor v2: the tool goes by `etcdctl` on the
/// hosts, and so do the writers.
#[test]
fn config_file_without_gateway_3_4_23() {
    if !all() {
        return crate::support::not_run("etcd 3.4.23 configured as config-file-grpc, in the lab");
    }
    let Some(lab) = Lab::up("3.4.23", "config-file-grpc") else { return };
    let before: Vec<_> = (1..=lab.hosts).map(|host| lab.tree(host)).collect();
    let code = "for path in v3/cluster/member/list v2/members; do \
                curl -s -o /dev/null -w '%{http_code} ' -d {} http://127.0.0.1:2379/$path; done";
    assert_eq!(lab.on("server1", code), "404 404 ");
    let pki = lab.home.path().join("pki").display().to_string();
    let pair = ["cacert", "cert", "key"].into_iter().zip(["ca.pem", "client.pem", "client-key.pem"]);
    let pair: Vec<String> = pair.map(|(flag, file)| format!("--{flag}={pki}/{file}")).collect();
    let endpoints = |urls: &[String]| format!("--endpoints={}", urls.join(","));
    let at = |scheme: &str, port: u16| -> Vec<String> {
        lab.addresses().iter().map(|at| format!("{scheme}://{at}:{port}")).collect()
    };
    let http = [endpoints(&at("http", 2379))];
    let https = [vec![endpoints(&[at("https", 2379), at("https", 2378)].concat())], pair].concat();
    lab.inside(|| {
        let mut load = CtlLoad::start(&http);
        let (exit, code, message, _) = lab.refused(&["migrate", "apply", "--yes"]);
        assert_eq!((exit, code.as_str()), (1, "plaintext-clients"), "{message}");
        load.move_to(&https);
        // Each etcdctl dials all of its endpoints, those at 2379 in vain: who dials a port of plain text counts as one who
        // speaks it.
        lab.done(&["migrate", "apply", "--yes", "--cut-plaintext"]);
        is_https(&lab, false);
        lab.done(&["migrate", "status"]);
        let (exit, code, message, _) = lab.refused(&["migrate", "rollback", "--yes"]);
        assert_eq!((exit, code.as_str()), (1, "tls-clients"), "{message}");
        load.move_to(&http);
        lab.done(&["migrate", "rollback", "--yes"]);
        let each: Vec<_> = at("http", 2379).into_iter().map(|url| vec![endpoints(&[url])]).collect();
        let figures = load.finish(&each);
        println!(
            "cell config-file-grpc × etcd 3.4.23, by etcdctl: {} writes, {} failed, {} lost; longest gap {} ms in all",
            figures.writes,
            figures.failed,
            figures.lost,
            figures.longest_gap.as_millis()
        );
        assert_eq!((figures.failed, figures.lost, figures.writes > 50), (0, 0, true), "{figures:?}");
    });
    for (host, before) in (1..=lab.hosts).zip(&before) {
        let left = differences(before, &lab.tree(host));
        assert!(left.is_empty(), "server{host} is not as it was: {left:?}");
    }
}

/// The unit as RHEL 7 ships it repeats variables as flags. Only etcd 3.3 and older start with it: the cells of later
/// versions have Fedora's later line.
#[test]
fn rhel_7s_line_is_refused_by_etcd_itself_from_3_4_on() {
    if !all() {
        return crate::support::not_run("RHEL 7's own unit with etcd 3.4 and later, in the lab");
    }
    for version in ["3.4.23", "3.5.16", "3.5.30"] {
        let Some(lab) = Lab::with(version, "rhel", &["--hosts", "1"]) else { return };
        let unit = lab.root(1).join("lib/systemd/system/etcd.service");
        let text = std::fs::read_to_string(&unit).unwrap();
        let line = r#"/usr/bin/etcd --name=\"${ETCD_NAME}\" --data-dir=\"${ETCD_DATA_DIR}\" --listen-client-urls=\"${ETCD_LISTEN_CLIENT_URLS}\""#;
        std::fs::write(&unit, text.replace("/usr/bin/etcd\"", &format!("{line}\""))).unwrap();
        lab.on("server1", "systemctl daemon-reload; ! systemctl restart etcd");
        let log = lab.on("server1", "journalctl --no-pager -u etcd -o cat");
        let words = "is shadowed by corresponding command-line flag";
        let said = log.lines().find(|line| line.contains(words) && line.contains("ETCD_"));
        let said = said.unwrap_or_else(|| panic!("{version}: {log}"));
        println!("cell RHEL 7's line × etcd {version}: not possible, it says {said}");
        let (exit, code, message, _) = lab.refused(&["migrate", "plan"]);
        assert_eq!((exit, code.as_str()), (1, "no-answer"), "{message}");
    }
}

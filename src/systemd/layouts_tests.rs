//! The ways etcd is configured in the field, by their real texts: what each starts, and how our layers change it.

mod texts;

use std::collections::BTreeMap;

use super::launch::Definition;
use super::layers::{Beside, Rendered, config, render};
use super::unit::{Fragment, UnitError};
use super::words::Specifiers;
use crate::etcd::config_file;
use crate::host::Layer;
use texts::{CLCT, CLOUDINIT, CONFIG_FILE, COREOS, DEBIAN, ENV, KUBESPRAY, MEMBER, RHEL};

fn unit(name: &str, text: &str, dropins: &[(&str, &str)], env_files: &[(&str, Option<&str>)]) -> Definition {
    let mut fragments = vec![Fragment::new(format!("/lib/systemd/system/{name}"), text)];
    fragments.extend(dropins.iter().map(|&(path, text)| Fragment::new(path, text)));
    Definition {
        unit: name.to_owned(),
        fragments,
        specifiers: Specifiers::new(name, "server1", "0123456789abcdef0123456789abcdef"),
        env_files: env_files.iter().map(|&(path, text)| (path.to_owned(), text.map(str::to_owned))).collect(),
    }
}

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(flag, value)| (flag.to_owned(), value.to_owned())).collect()
}

/// The layers of the seeds.
fn layers() -> [Layer; 3] {
    let layer = |name, pairs: &[(&str, &str)]| Layer { name, settings: settings(pairs) };
    [
        layer(
            "25-insecure_localhost",
            &[("listen-client-urls", "http://172.16.0.101:2379,http://127.0.0.1:4001")],
        ),
        layer(
            "30-certs",
            &[
                ("cert-file", "/etc/ssl/etcd/server1.pem"),
                ("key-file", "/etc/ssl/etcd/server1-key.pem"),
                ("trusted-ca-file", "/etc/ssl/etcd/ca.pem"),
                ("client-cert-auth", "true"),
            ],
        ),
        layer(
            "40-tls",
            &[
                ("advertise-client-urls", "https://172.16.0.101:2379"),
                ("listen-client-urls", "https://0.0.0.0:2379,http://127.0.0.1:4001"),
                ("listen-peer-urls", "https://0.0.0.0:2380"),
            ],
        ),
    ]
}

/// The unit with what was rendered for it on the disk, judged as the next start would.
fn installed(base: &Definition, rendered: &[Rendered]) -> Definition {
    let mut unit = base.clone();
    for one in rendered {
        unit.fragments.push(one.dropin.clone());
        if let Some(Beside::Environment(file)) = &one.beside {
            unit.env_files.insert(file.path.clone(), Some(file.text.clone()));
        }
    }
    unit.fragments[1..].sort_by(|a, b| a.name().cmp(b.name()));
    unit
}

/// Renders the seeds' layers and checks that after each everything it set is in force, and before it nothing else.
fn check(base: &Definition) -> Vec<Rendered> {
    let before = config(base).unwrap();
    let rendered = render(base, None, &layers()).unwrap();
    let mut meant = BTreeMap::new();
    for (count, layer) in layers().iter().enumerate() {
        meant.extend(layer.settings.clone());
        let unit = installed(base, &rendered[..=count]);
        let now = config(&unit).unwrap();
        for (flag, value) in &meant {
            assert_eq!(now.get(flag), Some(value.as_str()), "{} {}", base.unit, layer.name);
        }
        for (flag, value, _) in before.all().filter(|(flag, ..)| !meant.contains_key(*flag)) {
            assert_eq!(now.get(flag), Some(value), "{} {}: {flag} was changed", base.unit, layer.name);
        }
        assert_eq!(now.conflicts(), before.conflicts());
        assert_eq!(unit.without_ours(), Definition { env_files: unit.env_files.clone(), ..base.clone() });
    }
    // The same again, from what is on the disk.
    let again = render(&installed(base, &rendered).without_ours(), None, &layers()).unwrap();
    assert_eq!(again, rendered);
    rendered
}

fn names(rendered: &[Rendered]) -> Vec<&str> {
    rendered.iter().map(|one| one.dropin.name()).collect()
}

const OWN_NAMES: [&str; 3] = ["25-insecure_localhost.conf", "30-certs.conf", "40-tls.conf"];

#[test]
fn debian_gets_environment_files_of_ours() {
    let base = unit("etcd.service", DEBIAN, &[], &[("/etc/default/etcd", Some(ENV))]);
    let launch = base.etcd().unwrap();
    assert_eq!(launch.argv, ["/usr/bin/etcd"]);
    assert_eq!(launch.env["ETCD_DATA_DIR"], "/var/lib/etcd");
    let rendered = check(&base);
    assert_eq!(names(&rendered), OWN_NAMES);
    assert_eq!(
        rendered[0].dropin.text,
        "# Written by etcd-pki: 25-insecure_localhost. `etcd-pki migrate rollback` takes it away again.\n\
         [Service]\nEnvironmentFile=/etc/etcd-pki/etcd.service/25-insecure_localhost.env\n"
    );
    let Some(Beside::Environment(file)) = &rendered[0].beside else { panic!("{rendered:?}") };
    assert!(
        file.text.ends_with("\nETCD_LISTEN_CLIENT_URLS=\"http://172.16.0.101:2379,http://127.0.0.1:4001\"\n")
    );
}

#[test]
fn debian_without_its_file_is_named_after_the_host() {
    let base = unit("etcd.service", DEBIAN, &[], &[("/etc/default/etcd", None)]);
    assert_eq!(config(&base).unwrap().get("name"), Some("server1"));
    check(&base);
}

#[test]
fn debians_flags_in_daemon_args_get_flags_behind_them() {
    let args = "DAEMON_ARGS=\"--listen-client-urls http://172.16.0.101:2379 --listen-peer-urls=http://172.16.0.101:2380\"\n";
    let base = unit("etcd.service", DEBIAN, &[], &[("/etc/default/etcd", Some(args))]);
    let rendered = check(&base);
    assert!(
        rendered[0].dropin.text.ends_with(
            "[Service]\nExecStart=\nExecStart=/usr/bin/etcd $DAEMON_ARGS \
             --listen-client-urls=http://172.16.0.101:2379,http://127.0.0.1:4001\n"
        ),
        "{}",
        rendered[0].dropin.text
    );
    assert!(!rendered[1].dropin.text.contains("ExecStart"));
    // What no flag names stays a variable.
    assert!(matches!(&rendered[2].beside, Some(Beside::Environment(file))
        if file.text.contains("ETCD_ADVERTISE_CLIENT_URLS") && !file.text.contains("LISTEN")));
}

#[test]
fn coreos_gets_the_seeds_own_drop_ins() {
    let cloudinit = ("/run/systemd/system/etcd2.service.d/20-cloudinit.conf", CLOUDINIT);
    let base = unit("etcd2.service", COREOS, &[cloudinit], &[]);
    let rendered = check(&base);
    assert_eq!(names(&rendered), OWN_NAMES);
    assert!(rendered.iter().all(|one| one.beside.is_none()));
    assert_eq!(
        rendered[2].dropin.text.lines().skip(1).collect::<Vec<_>>(),
        [
            "[Service]",
            "Environment=\"ETCD_ADVERTISE_CLIENT_URLS=https://172.16.0.101:2379\"",
            "Environment=\"ETCD_LISTEN_CLIENT_URLS=https://0.0.0.0:2379,http://127.0.0.1:4001\"",
            "Environment=\"ETCD_LISTEN_PEER_URLS=https://0.0.0.0:2380\"",
        ]
    );
}

#[test]
fn container_linux_gets_flags_at_the_end_and_certificates_by_variable() {
    let clct = ("/etc/systemd/system/etcd-member.service.d/20-clct-etcd-member.conf", CLCT);
    let base = unit("etcd-member.service", MEMBER, &[clct], &[]);
    assert_eq!(config(&base).unwrap().conflicts().len(), 1, "the shipped ETCD_NAME beside --name");
    let rendered = check(&base);
    assert_eq!(names(&rendered), OWN_NAMES);
    assert!(rendered[1].dropin.text.contains("Environment=\"ETCD_CERT_FILE=/etc/ssl/etcd/server1.pem\"\n"));
    let line = rendered[2].dropin.text.lines().last().unwrap();
    assert!(line.starts_with("ExecStart=/usr/lib/coreos/etcd-wrapper $ETCD_OPTS "), "{line}");
    assert!(
        line.ends_with(
            " --advertise-client-urls=https://172.16.0.101:2379 \
             --listen-client-urls=https://0.0.0.0:2379,http://127.0.0.1:4001 --listen-peer-urls=https://0.0.0.0:2380"
        ),
        "{line}"
    );
}

#[test]
fn kubespray_gets_environment_files_of_ours() {
    let base = unit("etcd.service", KUBESPRAY, &[], &[("/etc/etcd.env", Some(ENV))]);
    let rendered = check(&base);
    assert!(rendered.iter().all(|one| matches!(one.beside, Some(Beside::Environment(_)))));
    let gone = unit("etcd.service", KUBESPRAY, &[], &[("/etc/etcd.env", None)]);
    assert!(matches!(gone.etcd(), Err(UnitError::EnvironmentFile { .. })));
}

#[test]
fn rhels_shell_line_takes_its_variables_from_ours() {
    let base = unit("etcd.service", RHEL, &[], &[("/etc/etcd/etcd.conf", Some(ENV))]);
    let launch = base.etcd().unwrap();
    assert_eq!(
        launch.argv,
        [
            "/usr/bin/etcd",
            "--name=server1",
            "--data-dir=/var/lib/etcd",
            "--listen-client-urls=http://172.16.0.101:2379"
        ]
    );
    let rendered = check(&base);
    assert!(rendered.iter().all(|one| !one.dropin.text.contains("ExecStart")));
}

#[test]
fn a_flag_within_a_shell_line_is_followed_by_ours() {
    let literal = RHEL.replace("${ETCD_LISTEN_CLIENT_URLS}", "http://172.16.0.101:2379");
    let env = "ETCD_NAME=server1\nETCD_DATA_DIR=/var/lib/etcd\n";
    let base = unit("etcd.service", &literal, &[], &[("/etc/etcd/etcd.conf", Some(env))]);
    let rendered = check(&base);
    assert!(
        rendered[0].dropin.text.ends_with(
            "--listen-client-urls=\\\"http://172.16.0.101:2379\\\" \
             --listen-client-urls=http://172.16.0.101:2379,http://127.0.0.1:4001\"\n"
        ),
        "{}",
        rendered[0].dropin.text
    );
}

#[test]
fn a_configuration_file_is_copied_and_changed() {
    let base = unit("etcd.service", CONFIG_FILE, &[], &[]);
    let yaml = "name: server1\nlisten-client-urls: http://172.16.0.101:2379\n";
    let rendered = render(&base, Some(yaml), &layers()).unwrap();
    let mut meant = BTreeMap::from([("name".to_owned(), "server1".to_owned())]);
    for (layer, one) in layers().iter().zip(&rendered) {
        meant.extend(layer.settings.clone());
        let Some(Beside::ConfigFile { copy, like }) = &one.beside else { panic!("{one:?}") };
        assert_eq!(like, "/etc/etcd/etcd.yaml");
        assert_eq!(config_file::settings(&copy.text).unwrap(), meant);
        assert!(copy.text.starts_with("# Written by etcd-pki: "));
        let unit = installed(&base, std::slice::from_ref(one));
        assert_eq!(config(&unit).unwrap().file(), Some(copy.path.as_str()));
        assert!(super::launch::is_ours(&one.dropin.text));
    }
    assert_eq!(
        rendered[2].dropin.text.lines().last().unwrap(),
        "ExecStart=/usr/bin/etcd --config-file /etc/etcd/etcd.yaml --config-file=/etc/etcd-pki/etcd.service/40-tls.yaml"
    );
    assert!(render(&base, None, &layers()).is_err());
}

#[test]
fn a_later_drop_in_of_the_users_is_outsorted() {
    let late = "[Service]\nEnvironment=ETCD_LISTEN_CLIENT_URLS=http://172.16.0.101:2379\n";
    let dropins = [
        ("/run/systemd/system/etcd2.service.d/20-cloudinit.conf", CLOUDINIT),
        ("/etc/systemd/system/etcd2.service.d/50-own.conf", late),
    ];
    let base = unit("etcd2.service", COREOS, &dropins, &[]);
    let rendered = check(&base);
    // Only those that it would override move.
    assert_eq!(
        names(&rendered),
        ["50-own_25-insecure_localhost.conf", "30-certs.conf", "50-own_40-tls.conf"]
    );
}

#[test]
fn a_name_that_is_taken_is_not_taken_away() {
    let theirs = "[Service]\nNice=5\n";
    let dropins = [("/run/systemd/system/etcd2.service.d/30-certs.conf", theirs)];
    let base = unit("etcd2.service", COREOS, &dropins, &[]);
    assert_eq!(names(&check(&base)), ["25-insecure_localhost.conf", "30-certs_30-certs.conf", "40-tls.conf"]);
}

#[test]
fn what_cannot_win_is_refused_by_name() {
    let unset = "[Service]\nUnsetEnvironment=ETCD_CERT_FILE\n";
    let dropins = [("/etc/systemd/system/etcd2.service.d/99-unset.conf", unset)];
    // A variable that is unset last of all cannot be set; the flag can.
    let rendered = check(&unit("etcd2.service", COREOS, &dropins, &[]));
    assert!(rendered[1].dropin.text.contains("--cert-file=/etc/ssl/etcd/server1.pem"));

    let docker = "[Service]\nExecStart=/usr/bin/docker run quay.io/coreos/etcd\n";
    let error = render(&unit("etcd.service", docker, &[], &[]), None, &layers()).unwrap_err();
    assert_eq!(error.to_string(), "ExecStart=: etcd is started by a container engine");
    let two = "[Service]\nExecStart=/bin/sh -c 'sleep 1; etcd'\n";
    assert!(render(&unit("etcd.service", two, &[], &[]), None, &layers()).is_err());
}

#[test]
fn wrappers_are_seen_through() {
    let of = |line: &str| {
        let text = format!("[Service]\nEnvironment=ETCD_NAME=a ETCD_X=y\nExecStart={line}\n");
        unit("etcd.service", &text, &[], &[]).etcd()
    };
    let plain = of("-/usr/bin/etcd --name=b").unwrap();
    assert_eq!(plain.argv, ["/usr/bin/etcd", "--name=b"]);
    let env = of("/usr/bin/env -u ETCD_X ETCD_NAME=c /usr/bin/etcd").unwrap();
    assert_eq!((env.argv.join(" "), env.env.len()), ("/usr/bin/etcd".to_owned(), 1));
    assert_eq!(env.env["ETCD_NAME"], "c");
    assert_eq!(of("/usr/bin/nice -n 5 /usr/bin/etcd -a b").unwrap().argv, ["/usr/bin/etcd", "-a", "b"]);
    assert_eq!(of("@/usr/bin/etcd etcd-one --a").unwrap().argv, ["/usr/bin/etcd", "--a"]);
    assert_eq!(of(":/usr/bin/etcd $X").unwrap().argv, ["/usr/bin/etcd", "$X"]);
    for bad in ["/usr/bin/true", "/usr/bin/etcd ; /usr/bin/etcd", "", "/bin/sh /x.sh"] {
        assert!(of(bad).is_err(), "{bad}");
    }
}

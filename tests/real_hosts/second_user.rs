//! etcd's user on a host, who races `install`: the directory is his own, so he can exchange any name in it at any moment for
//! a link to a file or directory of root's. Whatever comes of the install, what is root's stays as it is.

use crate::lab_support::{Lab, all};

/// Exchanges two names (renameat2, RENAME_EXCHANGE) as fast as it can for as long as a process of root's runs whose command
/// line has the first name and a `chmod` in it; the rest of the time it looks for one. Ends when `/tmp/stop` is there, or
/// after five minutes, and says how often it saw one and how often it exchanged them.
const RACER: &str = r#"
use strict;
my ($name, $bait) = @ARGV;
my $number = `uname -m` =~ /x86_64/ ? 316 : 276;
my ($seen, $exchanged, $end) = (0, 0, time + 300);
while (!-e "/tmp/stop" && time < $end) {
    for my $process (glob "/proc/[0-9]*") {
        next if (stat $process)[4];
        open my $file, "<", "$process/cmdline" or next;
        read $file, my $words, 65536;
        next unless defined $words && $words =~ /chmod/ && $words =~ /\Q$name\E/ && $words !~ /renameat2-racer/;
        $seen++;
        for (my $tries = 0; -e $process && $tries < 2000; $tries++) {
            for (1 .. 20) { $exchanged++ if syscall($number, -100, $name, -100, $bait, 2) == 0; }
        }
    }
}
print "$seen $exchanged\n";
"#;

/// A race: what is exchanged for what, and how root makes both before each round.
struct Race {
    what: &'static str,
    /// The name that `install` changes, and what it is exchanged for.
    names: [&'static str; 2],
    prepare: &'static str,
    install: &'static [&'static str],
}

const FILE: [&str; 2] = ["/etc/ssl/etcd/ca.pem", "/etc/ssl/etcd/.bait"];
const DIRECTORY: [&str; 2] = ["/srv/etcd/tls", "/srv/etcd/.bait"];
const INSTALL: &[&str] = &["install", "server1", "--host", "root@172.16.0.101", "--owner", "etcd"];
const BELOW: &[&str] = &[
    "install",
    "server1",
    "--host",
    "root@172.16.0.101",
    "--owner",
    "etcd",
    "--to",
    "/srv/etcd/tls",
    "--dir-mode",
    "0755",
];

/// The pair as it was placed, with a mode and an owner that `install` will put right.
const WRONG_MODE: &str =
    "cp -r /root/placed/. /etc/ssl/etcd/; chown -R etcd:etcd /etc/ssl/etcd; chmod 640 /etc/ssl/etcd/*.pem";

const RACES: [Race; 5] = [
    Race {
        what: "a file for a symlink to root's",
        names: FILE,
        prepare: "ln -s /root/secret/file /etc/ssl/etcd/.bait",
        install: INSTALL,
    },
    // As it is where fs.protected_hardlinks is off.
    Race {
        what: "a file for a hard link to root's",
        names: FILE,
        prepare: "ln /root/secret/file /etc/ssl/etcd/.bait",
        install: INSTALL,
    },
    Race {
        what: "a directory for a symlink to root's",
        names: DIRECTORY,
        prepare: "install -d -o etcd -m 750 /srv/etcd/tls; ln -s /root/secret /srv/etcd/.bait",
        install: BELOW,
    },
    Race {
        what: "a directory that is being made for a symlink to root's",
        names: DIRECTORY,
        prepare: "ln -s /root/secret /srv/etcd/.bait",
        install: BELOW,
    },
    // What is above the directory, with a directory of the same name where it leads to.
    Race {
        what: "a directory on the way for a symlink to root's",
        names: ["/srv/etcd/on", "/srv/etcd/.bait"],
        prepare: "install -d -o etcd -m 750 /srv/etcd/on /srv/etcd/on/tls; ln -s /root/secret /srv/etcd/.bait",
        install: &[
            "install",
            "server1",
            "--host",
            "root@172.16.0.101",
            "--owner",
            "etcd",
            "--to",
            "/srv/etcd/on/tls",
            "--dir-mode",
            "0755",
        ],
    },
];

#[test]
fn etcds_user_who_races_an_install_gets_nothing_of_roots() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    let rounds = if all() { 20 } else { 4 };
    lab.done(INSTALL);
    std::fs::write(lab.root(1).join("usr/local/bin/renameat2-racer"), RACER).unwrap();
    lab.on("server1", "cp -r /etc/ssl/etcd /root/placed; chmod 700 /root");
    let secret = "stat -c '%A %U:%G %s %n' /root/secret /root/secret/* /root/secret/tls/* 2>/dev/null; cat /root/secret/file";

    let mut all_won = 0;
    for race in &RACES {
        let [name, bait] = race.names;
        let start = format!(
            "rm -rf /tmp/stop /tmp/raced; runuser -u etcd -- perl /usr/local/bin/renameat2-racer {name} {bait} >/tmp/raced 2>&1 </dev/null &"
        );
        lab.on("server1", &start);
        let (mut won, mut done) = (0, 0);
        // From a file: the racer takes a command line with those names in it for one of ours.
        let prepare = format!(
            "rm -rf /srv/etcd /etc/ssl/etcd /root/secret\nmkdir -p /etc/ssl/etcd\n{WRONG_MODE}\n\
             mkdir -m 700 /root/secret /root/secret/tls\necho secret >/root/secret/file\nchmod 400 /root/secret/file\n\
             install -d -o etcd /srv/etcd\n{}\n",
            race.prepare
        );
        std::fs::write(lab.root(1).join("root/prepare"), prepare).unwrap();
        for _ in 0..rounds {
            lab.on("server1", "sh -e /root/prepare");
            let before = lab.on("server1", secret);
            let output = lab.tool(race.install);
            done += usize::from(output.status.success());
            let after = lab.on("server1", secret);
            if before != after {
                won += 1;
                println!("{}: {before}became {after}", race.what);
            }
            assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{:?}", output.status);
        }
        let counts = lab.on(
            "server1",
            "touch /tmp/stop; for i in $(seq 200); do [ -s /tmp/raced ] && break; sleep 0.1; done; cat /tmp/raced",
        );
        println!(
            "{}: {won} of {rounds} races won, {done} installs done; seen, exchanged: {}",
            race.what,
            counts.trim()
        );
        let seen: usize = counts.split(' ').next().unwrap().parse().unwrap();
        assert!(seen * 2 >= rounds, "the racer saw {seen} of {rounds} installs");
        all_won += won;
    }
    assert_eq!(all_won, 0, "see above for what became of root's files");

    // One that is there before is named, with what to look at.
    lab.on("server1", "rm -rf /srv/etcd; install -d -o etcd /srv/etcd; ln -s /root/secret /srv/etcd/on");
    let (exit, code, message, hint) = lab.refused(&[&BELOW[..6], &["--to", "/srv/etcd/on/tls"]].concat());
    assert_eq!((exit, code.as_str()), (1, "untrusted-path"), "{message}");
    assert!(message.contains("on is a symlink in a directory of another user"), "{message}");
    assert!(hint.contains("namei -l /srv/etcd/on/tls"), "{hint}");

    // With nobody in the way all is put right, and nothing of ours is left.
    lab.on("server1", &format!("rm -rf /etc/ssl/etcd; mkdir -p /etc/ssl/etcd; {WRONG_MODE}"));
    assert!(lab.done(INSTALL).contains("set mode"));
    let expected = "644 etcd:etcd ca.pem\n600 etcd:etcd server1-key.pem\n644 etcd:etcd server1.pem\n";
    assert_eq!(
        lab.on("server1", "cd /etc/ssl/etcd; stat -c '%a %U:%G %n' *; ls -A | grep '^\\.' || true"),
        expected
    );
}

#[test]
fn what_a_run_left_that_was_killed_on_the_host_goes_with_the_next() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    lab.done(INSTALL);
    // As a power cut leaves it: no process of that number is a run of ours.
    lab.on(
        "server1",
        "cd /etc/ssl/etcd; mkdir -m 700 .etcd-pki.1.tmp; cp server1-key.pem .etcd-pki.1.tmp/placed-2.tmp; chmod 600 ca.pem",
    );
    lab.done(INSTALL);
    assert_eq!(lab.on("server1", "ls -A /etc/ssl/etcd"), "ca.pem\nserver1-key.pem\nserver1.pem\n");
}

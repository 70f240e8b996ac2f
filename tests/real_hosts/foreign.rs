//! Hosts and etcds that are in somebody else's hands, or broken: they flood, stall, send a byte a second, or answer what no
//! etcd answers. The tool stays small, comes to an end in time, says which host it was and what to do.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::lab_support::{Lab, all};

/// A login shell that does as `/etc/fault` says to one kind of what is asked, and is a shell to everything else.
const SHELL: &str = r#"#!/bin/sh
mark() { IFS= read -r mark; printf '%s\n' 'etcd-pki: from here on' "$mark"; }
case $(cat /etc/fault 2>/dev/null):$2 in
    lock-flood:*flock*) echo 'etcd-pki: from here on'; exec cat /dev/zero ;;
    lock-forge:*flock*) printf 'etcd-pki: from here on\nby \033[2J\342\200\256somebody\n'; exec sleep 600 ;;
    login-flood:*'id -u'*) exec yes ;;
    login-drip:*'id -u'*) while echo; do sleep 1; done ;;
    shell-flood:*'IFS= read -r mark'*) mark; exec cat /dev/zero ;;
    shell-stderr:*'IFS= read -r mark'*) mark; exec cat /dev/zero >&2 ;;
    shell-drip:*'IFS= read -r mark'*) mark; while printf x; do sleep 1; done ;;
    shell-half:*'IFS= read -r mark'*) mark; echo 81a4 0 0; exec sleep 600 ;;
esac
exec /bin/sh "$@"
"#;

/// How a run ended: exit code, the error's code, message and hint, its time, and the most memory it had, in MiB.
struct Ended {
    exit: i32,
    code: String,
    message: String,
    hint: String,
    took: Duration,
    memory: u64,
}

fn run(lab: &Lab, words: &[&str]) -> Ended {
    let begun = Instant::now();
    let mut command = lab.command(&[words, &["--json"]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(180), "{words:?} does not come to an end");
        // The peak as the kernel keeps it, so that none is missed between two looks.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        memory = memory.max(peak.unwrap_or(0u64));
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = begun.elapsed();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = serde_json::from_str::<serde_json::Value>(text.lines().last().unwrap_or_default())
        .unwrap_or_default();
    let field = |name: &str| error["error"][name].as_str().unwrap_or_default().to_owned();
    let exit = output.status.code().unwrap_or(-1);
    Ended {
        exit,
        code: field("code"),
        message: field("message"),
        hint: field("hint"),
        took,
        memory: memory >> 10,
    }
}

#[test]
fn a_host_that_floods_stalls_or_forges_is_given_up() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    let root = lab.root(1);
    std::fs::write(root.join("usr/local/bin/odd-shell"), SHELL).unwrap();
    lab.on("server1", "chmod 755 /usr/local/bin/odd-shell; usermod -s /usr/local/bin/odd-shell root");
    let plan = ["migrate", "plan"];
    let apply = ["migrate", "apply", "--yes"];
    let install = ["install", "server1", "--host", "root@172.16.0.101", "--owner", "etcd"];
    // The fault, what is run, the error's code, a word of its message, a word of its hint, and the time within which it
    // ends, in seconds: what does not stop is ended by its size, what does not come by the clock.
    for (fault, words, code, message, hint, soon) in [
        ("lock-flood", &apply[..], "ssh-too-much", "4 KiB", "ssh root@172.16.0.101 true", 30),
        ("lock-forge", &apply, "locked", "somebody", "wait for it to end", 30),
        ("login-flood", &plan, "ssh-too-much", "1 MiB", "ssh root@172.16.0.101 true", 30),
        ("login-drip", &plan, "ssh-too-slow", "30 s", "overloaded", 50),
        ("shell-flood", &plan, "ssh-too-much", "16 MiB", "ssh root@172.16.0.101 true", 30),
        ("shell-stderr", &install, "ssh-too-much", "16 MiB", "ssh root@172.16.0.101 true", 30),
        ("shell-drip", &plan, "ssh-too-slow", "not whole within", "overloaded", 60),
        ("shell-half", &install, "ssh-too-slow", "not whole within", "overloaded", 60),
    ] {
        // Another that takes its time until the clock ends it.
        if fault == "shell-half" && !all() {
            continue;
        }
        std::fs::write(root.join("etc/fault"), fault).unwrap();
        let ended = run(&lab, words);
        println!("{fault}: {:?}, {} MiB: {} / {}", ended.took, ended.memory, ended.message, ended.hint);
        assert_eq!((ended.exit, ended.code.as_str()), (1, code), "{fault}: {}", ended.message);
        assert!(ended.message.contains(message), "{fault}: {}", ended.message);
        assert!(
            ended.message.contains("server1") || ended.message.contains("172.16.0.101"),
            "{fault}: {}",
            ended.message
        );
        assert!(ended.hint.contains(hint), "{fault}: {}", ended.hint);
        assert!(!ended.message.contains(['\u{1b}', '\u{202e}']), "{fault}: {:?}", ended.message);
        assert!(ended.memory < 100, "{fault}: {} MiB", ended.memory);
        assert!(ended.took < Duration::from_secs(soon), "{fault}: {:?}", ended.took);
    }
    std::fs::write(root.join("etc/fault"), "").unwrap();
    lab.done(&plan);

    // The host's disk as it was: only what was asked for was ever placed.
    assert_eq!(lab.on("server1", "find /etc -name '.etcd-pki.*' -o -name '*.tmp' | head"), "");

    // A directory with more names than are read, and a file that is larger.
    lab.on("server1", "mkdir -p /srv/many; cd /srv/many; seq -f 'a-name-that-is-long-enough-to-make-two-hundred-bytes-%0160g' 90000 | xargs touch");
    let many = run(
        &lab,
        &["install", "server1", "--host", "root@172.16.0.101", "--owner", "etcd", "--to", "/srv/many"],
    );
    println!("names: {:?}, {} MiB: {} / {}", many.took, many.memory, many.message, many.hint);
    assert_eq!((many.exit, many.code.as_str()), (1, "ssh-too-much"), "{}", many.message);
    assert!(many.message.contains("/srv/many") && many.memory < 100, "{} MiB: {}", many.memory, many.message);
    lab.on("server1", "mkdir -p /srv/large; truncate -s 1T /srv/large/ca.pem");
    let large = run(
        &lab,
        &["install", "server1", "--host", "root@172.16.0.101", "--owner", "etcd", "--to", "/srv/large"],
    );
    println!("file: {:?}, {} MiB: {} / {}", large.took, large.memory, large.message, large.hint);
    assert_eq!(large.exit, 1);
    assert!(
        large.message.contains("/srv/large/ca.pem") && large.message.contains("are read at most"),
        "{}",
        large.message
    );
    assert!(large.memory < 100 && large.hint.contains("move it away"), "{}", large.hint);
}

/// What answers on the client port in etcd's place: the answer to every request, then so many bytes more of it, or one a
/// second.
const FORGED: &str = r#"
use strict;
use IO::Socket::INET;
$SIG{PIPE} = "IGNORE";
$SIG{CHLD} = "IGNORE";
my $server = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => 2379, Listen => 50, ReuseAddr => 1) or die;
while (my $client = $server->accept) {
    next if fork;
    my $length = 0;
    while (defined(my $line = <$client>)) {
        $length = $1 if $line =~ /^content-length: (\d+)/i;
        last if $line eq "\r\n";
    }
    # A request that is not read to its end makes the kernel reset the connection, and the answer is cut.
    read $client, my $request, $length;
    open my $fault, "<", "/etc/fault"; my $what = <$fault>; close $fault;
    print $client "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    if ($what eq "headers") { 1 while print $client "X-Y: " . ("z" x 1000) . "\r\n"; exit }
    print $client "Connection: close\r\n\r\n";
    $client->flush;
    if ($what eq "body") { 1 while print $client "[" . (" " x 65536); exit }
    if ($what eq "drip") { while (print $client " ") { $client->flush; sleep 1 } exit }
    if ($what eq "nested") { print $client "[" x 1000000; exit }
    if ($what eq "number") { print $client '{"header":{"cluster_id":"' . ("9" x 1000) . '"},"members":[]}'; exit }
    my $url = "http://172.16.0.101:2380";
    my $members = join ",", map { qq({"ID":"$_","name":"m$_","peerURLs":["$url"]}) } 1 .. ($what eq "members" ? 100000 : 1);
    $members =~ s/m1/"m" . ("x" x 3000000)/e if $what eq "name";
    $members =~ s/m1/\\u001b[2J\\u202eevil/ if $what eq "escape";
    print $client qq({"header":{"cluster_id":"7","member_id":"1"},"members":[$members],"version":"3.4.23","leader":"1"});
    exit;
}
"#;

#[test]
fn what_is_no_etcd_on_a_members_port_is_called_so() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    let root = lab.root(1);
    std::fs::write(root.join("root/forged"), FORGED).unwrap();
    // It runs as etcd's unit does, from a program of that name: perl, which reads what it is to do from standard input.
    lab.on(
        "server1",
        "systemctl stop etcd; cp /usr/bin/etcd /root/etcd; cp --remove-destination /usr/bin/perl /usr/bin/etcd; \
         mkdir -p /etc/systemd/system/etcd.service.d; cp /root/forged /srv/forged; \
         printf '[Service]\\nType=simple\\nExecStart=\\nExecStart=/usr/bin/etcd\\nStandardInput=file:/srv/forged\\n' \
         >/etc/systemd/system/etcd.service.d/50-forged.conf; \
         printf body >/etc/fault; systemctl daemon-reload; systemctl start etcd; systemctl is-active etcd",
    );
    for (fault, message) in [
        ("body", "longer than 16 MiB"),
        // Too long or too many, whichever is seen first.
        ("headers", "64 KiB|headers"),
        ("drip", "no answer in time"),
        ("nested", "recursion limit"),
        ("number", "not an answer of etcd"),
        ("members", "100000 members"),
        ("name", "4 KiB are read at most"),
    ] {
        std::fs::write(root.join("etc/fault"), fault).unwrap();
        let ended = run(&lab, &["migrate", "plan"]);
        println!("{fault}: {:?}, {} MiB: {} / {}", ended.took, ended.memory, ended.message, ended.hint);
        assert_eq!(ended.exit, 1, "{fault}: {}", ended.message);
        assert!(
            message.split('|').any(|words| ended.message.contains(words))
                && ended.message.contains("server1"),
            "{fault}: {}",
            ended.message
        );
        assert!(ended.message.len() < 2000, "{fault}: {} bytes", ended.message.len());
        assert!(
            fault == "drip" || ended.hint.contains("an etcd does not answer so"),
            "{fault}: {}",
            ended.hint
        );
        assert!(ended.memory < 100, "{fault}: {} MiB", ended.memory);
        assert!(ended.took < Duration::from_secs(60), "{fault}: {:?}", ended.took);
    }
    std::fs::write(root.join("etc/fault"), "escape").unwrap();
    let output = lab.tool(&["migrate", "plan"]);
    let said = [output.stdout, output.stderr].concat();
    assert!(
        !String::from_utf8_lossy(&said).contains(['\u{1b}', '\u{202e}']),
        "{:?}",
        String::from_utf8_lossy(&said)
    );
}

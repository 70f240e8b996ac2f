//! What goes wrong on an ordinary bad night, as it is made to happen on the lab's hosts, and how it is put right.

use std::process::{Command, Stdio};

use super::{EXE, LAB, Lab};

/// Something that goes wrong on one host, or between two.
pub struct Fault {
    pub name: &'static str,
    /// Made to happen while the tool stands still; the host is the one whose turn it is, the other one of the others.
    pub strike: fn(&Lab, Hosts),
    /// Put right after the tool has ended.
    pub heal: fn(&Lab, Hosts),
}

/// Where a fault strikes, by number.
#[derive(Debug, Clone, Copy)]
pub struct Hosts {
    /// The member whose turn it is.
    pub own: u8,
    /// Two of the others.
    pub others: (u8, u8),
}

impl Hosts {
    pub fn of(lab: &Lab, own: u8) -> Self {
        let next = |host: u8| host % lab.hosts + 1;
        Self { own, others: (next(own), next(next(own))) }
    }
}

/// As root on a host, without ssh; whether it succeeded is for the script to see to.
pub fn root_on(lab: &Lab, host: u8, script: &str) -> String {
    let output = Command::new(LAB)
        .args(["on", "--name", &lab.name, &format!("server{host}"), "sh", "-c", script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "server{host}: {script}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `ip` in a host's network.
pub fn ip(lab: &Lab, host: u8, words: &str) {
    let namespace = format!("lab-{}-server{host}", lab.name);
    let output = Command::new("ip").args(["-n", &namespace]).args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn power(lab: &Lab, what: &str, host: u8) {
    let output = lab.lab(&["power", "--name", &lab.name, what, &format!("server{host}")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn cut(lab: &Lab, (a, b): (u8, u8), what: &str) {
    for (from, to) in [(a, b), (b, a)] {
        ip(lab, from, &format!("route {what} blackhole {}/32", lab.address(to)));
    }
}

/// Waits until systemd on a host has started what it starts at boot.
fn wait_for_boot(lab: &Lab, host: u8) {
    for _ in 0..300 {
        let ssh = lab.lab(&["ssh", "--name", &lab.name, &format!("server{host}"), "systemctl is-active ssh"]);
        if ssh.status.success() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("server{host} does not come back");
}

const UNIT_DIR: &str = "/run/systemd/system/etcd.service.d";

/// A drop-in that stands beside ours and is no part of etcd's configuration.
fn drop_in(lab: &Lab, host: u8, line: &str) {
    root_on(
        lab,
        host,
        &format!(
            "mkdir -p {UNIT_DIR} && printf '[Service]\\n{line}\\n' >{UNIT_DIR}/90-fault.conf && systemctl daemon-reload"
        ),
    );
}

fn no_drop_in(lab: &Lab, host: u8) {
    root_on(
        lab,
        host,
        &format!("rm -f {UNIT_DIR}/90-fault.conf; rmdir {UNIT_DIR}; systemctl daemon-reload; exit 0"),
    );
}

/// Puts a small full file system over a directory, with what the directory holds.
const FULL: &str = r#"
dir=$1
[ -d "$dir" ] || { mkdir -p "$dir"; touch /run/fault-made; }
mkdir -p /run/fault-copy && cp -a "$dir/." /run/fault-copy/
mount -t tmpfs -o size=64k,mode=755 fault "$dir"
cp -a /run/fault-copy/. "$dir/"
cat /dev/zero >"$dir/zz-fault-filler" 2>/dev/null || :
"#;

/// Takes it away again; what was written there meanwhile stays.
const ROOM: &str = r#"
dir=$1
rm -f "$dir/zz-fault-filler"
rm -rf /run/fault-copy && mkdir /run/fault-copy && cp -a "$dir/." /run/fault-copy/
umount "$dir"
find "$dir" -mindepth 1 -delete
cp -a /run/fault-copy/. "$dir/"
rm -rf /run/fault-copy
[ ! -e /run/fault-made ] || { rm /run/fault-made; rmdir "$dir" 2>/dev/null; }
exit 0
"#;

fn with_dir(script: &str, dir: &str) -> String {
    format!("set -- {dir}; {script}")
}

const DROP_INS: &str = "/etc/systemd/system/etcd.service.d";

pub const SSH_CUT: Fault = Fault {
    name: "ssh connection killed",
    strike: |lab, at| drop(root_on(lab, at.own, "pkill -9 -f '^sshd: root'; exit 0")),
    heal: |_, _| {},
};

pub const SSH_DROPPED: Fault = Fault {
    name: "packets of ssh dropped",
    strike: |lab, at| ip(lab, at.own, "rule add pref 10 ipproto tcp sport 22 blackhole"),
    heal: |lab, at| ip(lab, at.own, "rule del pref 10"),
};

pub const REBOOT: Fault = Fault {
    name: "host rebooted",
    strike: |lab, at| drop(root_on(lab, at.own, "systemctl reboot")),
    heal: |lab, at| wait_for_boot(lab, at.own),
};

pub const POWER_OFF: Fault = Fault {
    name: "host powered off",
    strike: |lab, at| {
        // Nothing answers for a host without power, not even its kernel.
        ip(lab, at.own, "link set eth0 down");
        power(lab, "off", at.own);
    },
    heal: |lab, at| {
        ip(lab, at.own, "link set eth0 up");
        ip(lab, at.own, "route replace default via 172.16.0.1");
        power(lab, "on", at.own);
    },
};

pub const CUT_OFF: Fault = Fault {
    name: "partition: from another member",
    strike: |lab, at| cut(lab, (at.own, at.others.0), "add"),
    heal: |lab, at| cut(lab, (at.own, at.others.0), "del"),
};

pub const OTHERS_CUT: Fault = Fault {
    name: "partition: between two others",
    strike: |lab, at| cut(lab, at.others, "add"),
    heal: |lab, at| cut(lab, at.others, "del"),
};

pub const SLOW_START: Fault = Fault {
    name: "etcd takes 20 s to start",
    strike: |lab, at| drop_in(lab, at.own, "ExecStartPre=/bin/sleep 20"),
    heal: |lab, at| no_drop_in(lab, at.own),
};

pub const UNIT_FAILS: Fault = Fault {
    name: "unit fails to start",
    strike: |lab, at| drop_in(lab, at.own, "ExecStartPre=/bin/sh -c \"echo no such disk; exit 7\""),
    heal: |lab, at| no_drop_in(lab, at.own),
};

pub const LAGGING: Fault = Fault {
    name: "another member hangs for 5 s",
    strike: |lab, at| {
        let script = "pkill -STOP -x etcd; (sleep 5; pkill -CONT -x etcd) >/dev/null 2>&1 </dev/null &";
        root_on(lab, at.others.0, script);
    },
    heal: |_, _| {},
};

pub const STUCK: Fault = Fault {
    name: "another member hangs",
    strike: |lab, at| drop(root_on(lab, at.others.0, "pkill -STOP -x etcd")),
    heal: |lab, at| drop(root_on(lab, at.others.0, "pkill -CONT -x etcd")),
};

pub const ETC_FULL: Fault = Fault {
    name: "disk full below /etc",
    strike: |lab, at| drop(root_on(lab, at.own, &with_dir(FULL, DROP_INS))),
    heal: |lab, at| drop(root_on(lab, at.own, &with_dir(ROOM, DROP_INS))),
};

pub const STATE_FULL: Fault = Fault {
    name: "disk full below /var/lib/etcd-pki",
    strike: |lab, at| drop(root_on(lab, at.own, &with_dir(FULL, "/var/lib/etcd-pki"))),
    heal: |lab, at| drop(root_on(lab, at.own, &with_dir(ROOM, "/var/lib/etcd-pki"))),
};

/// The data directory must be on a small file system for this one: [`small_data`].
pub const DATA_FULL: Fault = Fault {
    name: "disk full below the data directory",
    strike: |lab, at| {
        root_on(lab, at.own, "cat /dev/zero >/var/lib/etcd/zz-fault-filler 2>/dev/null; exit 0");
    },
    heal: |lab, at| drop(root_on(lab, at.own, "rm -f /var/lib/etcd/zz-fault-filler")),
};

/// Moves a member's data to a small file system of its own (`true`), or back.
pub fn small_data(lab: &Lab, host: u8, small: bool) {
    let script = if small {
        "systemctl stop etcd; mkdir /run/fault-data && mount -t tmpfs -o size=300m fault /run/fault-data && \
         cp -a /var/lib/etcd/. /run/fault-data/ && chown etcd:etcd /run/fault-data && \
         mount --move /run/fault-data /var/lib/etcd 2>/dev/null || mount --bind /run/fault-data /var/lib/etcd; \
         systemctl start etcd"
    } else {
        "systemctl stop etcd; rm -rf /var/tmp/fault-data; cp -a /var/lib/etcd /var/tmp/fault-data && \
         umount /var/lib/etcd && { umount /run/fault-data 2>/dev/null; rmdir /run/fault-data; \
         rm -rf /var/lib/etcd/default; cp -a /var/tmp/fault-data/default /var/lib/etcd/; }; \
         rm -rf /var/tmp/fault-data; systemctl start etcd"
    };
    root_on(lab, host, script);
}

pub const WRONG_CA: Fault = Fault {
    name: "wrong CA on the host",
    strike: |lab, at| {
        let script = "cd /etc/ssl/etcd && cp -a ca.pem /run/fault-ca.pem && openssl req -x509 -newkey rsa:2048 -nodes \
            -keyout /dev/null -out /run/wrong-ca.pem -subj '/CN=another CA' -days 30 2>/dev/null && \
            cat /run/wrong-ca.pem >ca.pem";
        root_on(lab, at.own, script);
    },
    heal: |lab, at| {
        root_on(lab, at.own, "cat /run/fault-ca.pem >/etc/ssl/etcd/ca.pem; rm -f /run/*-ca.pem");
    },
};

/// nspawn shares this machine's clock: what is other is what `date` says to those who ask by ssh.
pub const CLOCK: Fault = Fault {
    name: "clock ten minutes off",
    strike: |lab, at| {
        let script = "printf '#!/bin/sh\\nexec /usr/bin/date -d \"10 minutes ago\" \"$@\"\\n' >/usr/local/bin/date && \
            chmod 755 /usr/local/bin/date";
        root_on(lab, at.own, script);
    },
    heal: |lab, at| drop(root_on(lab, at.own, "rm -f /usr/local/bin/date")),
};

/// A second address, from which the host dials the others.
pub const SECOND_ADDRESS: Fault = Fault {
    name: "dials from an address that is not in its certificate",
    strike: |lab, at| {
        ip(lab, at.own, &format!("addr add 172.16.0.{}/24 dev eth0", 200 + at.own));
        let route = format!("route replace 172.16.0.0/24 dev eth0 src 172.16.0.{}", 200 + at.own);
        ip(lab, at.own, &route);
    },
    heal: |lab, at| {
        let route = format!("route replace 172.16.0.0/24 dev eth0 src {}", lab.address(at.own));
        ip(lab, at.own, &route);
        ip(lab, at.own, &format!("addr del 172.16.0.{}/24 dev eth0", 200 + at.own));
    },
};

/// Raised by hand, as the space quota would raise it.
pub const ALARM: Fault = Fault {
    name: "alarm NOSPACE",
    strike: |lab, at| drop(root_on(lab, at.others.0, &alarm("ACTIVATE"))),
    heal: |lab, at| drop(root_on(lab, at.others.0, &alarm("DEACTIVATE"))),
};

/// The pair that is given has expired.
pub const EXPIRED: Fault = Fault {
    name: "expired certificate given",
    strike: |lab, at| {
        // rcgen and our own `issue` make none that has.
        let script = format!(
            "set -e; cd pki; cp server{0}.pem kept.pem; openssl req -new -key server{0}-key.pem -subj /CN=server{0} -out s.csr; \
             printf 'subjectAltName=IP:{1},IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >ext; : >index; echo 77 >serial; \
             printf '[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\nserial=serial\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' >c.cnf; \
             openssl ca -batch -config c.cnf -cert ca.pem -keyfile ca-key.pem -in s.csr -out server{0}.pem -notext -extfile ext \
             -startdate 20240101000000Z -enddate 20240201000000Z 2>/dev/null; rm -f s.csr ext index* serial* c.cnf 4D.pem 77.pem",
            at.own,
            lab.address(at.own)
        );
        here(lab, &script);
    },
    heal: |lab, at| here(lab, &format!("mv pki/kept.pem pki/server{}.pem", at.own)),
};

/// The pair that is given is another CA's.
pub const OTHERS_PAIR: Fault = Fault {
    name: "another CA's certificate given",
    strike: |lab, at| {
        let script = format!(
            "set -e; cp pki/server{0}.pem kept.pem; cp pki/server{0}-key.pem kept-key.pem; {EXE} init-ca --pki-dir other -q; \
             {EXE} issue server{0} --ip {1} --pki-dir other -q; cp other/server{0}.pem other/server{0}-key.pem pki/; rm -r other",
            at.own,
            lab.address(at.own)
        );
        here(lab, &script);
    },
    heal: |lab, at| {
        here(lab, &format!("mv kept.pem pki/server{0}.pem; mv kept-key.pem pki/server{0}-key.pem", at.own));
    },
};

/// In the operator's directory.
fn here(lab: &Lab, script: &str) {
    let output = Command::new("sh").args(["-c", script]).current_dir(lab.home.path()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn alarm(action: &str) -> String {
    format!(
        "id=$(curl -fs http://127.0.0.1:4001/v3/maintenance/status -d '{{}}' || curl -fs http://127.0.0.1:2379/v3/maintenance/status -d '{{}}'); \
         id=$(printf %s \"$id\" | sed 's/.*\"member_id\":\"\\([0-9]*\\)\".*/\\1/'); \
         body='{{\"action\":\"{action}\",\"memberID\":\"'$id'\",\"alarm\":\"NOSPACE\"}}'; \
         curl -fs http://127.0.0.1:4001/v3/maintenance/alarm -d \"$body\" || \
         curl -fs http://127.0.0.1:2379/v3/maintenance/alarm -d \"$body\""
    )
}

/// An event as a moment is told by it.
#[derive(Debug)]
pub struct Told {
    pub stage: String,
    pub what: String,
    pub state: String,
    /// How many members were at this very point before, in this run.
    pub turn: usize,
}

/// A run of the tool whose events are followed.
pub struct Run {
    child: std::process::Child,
    events: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

/// How a run ended.
#[derive(Debug)]
pub struct End {
    pub exit: i32,
    pub code: String,
    pub message: String,
    pub hint: String,
    pub seconds: u64,
}

impl Run {
    /// Starts the tool and reads its events until one is the moment; returns it, and the host whose turn it is. The tool
    /// stands still then.
    pub fn until(lab: &Lab, words: &[&str], is_it: impl Fn(&Told) -> bool) -> Option<(Self, u8)> {
        use std::io::BufRead;
        let mut command = lab.command(&[words, &["--json"]].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut events = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut turns = std::collections::BTreeMap::new();
        let mut stage = String::new();
        for line in events.by_ref().map_while(Result::ok) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            let of = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
            match of("event").as_str() {
                "step" => stage = of("stage"),
                "action" | "gate" => {
                    let (what, state) = match of("event").as_str() {
                        "gate" => ("gate".to_owned(), of("when")),
                        _ => (of("action"), of("state")),
                    };
                    let members: &mut Vec<String> =
                        turns.entry((stage.clone(), what.clone(), state.clone())).or_default();
                    if !members.contains(&of("member")) {
                        members.push(of("member"));
                    }
                    let told = Told { stage: stage.clone(), what, state, turn: members.len() - 1 };
                    if is_it(&told) {
                        let run = Self { child, events };
                        run.signal(rustix::process::Signal::STOP);
                        return Some((run, of("member").strip_prefix("server").unwrap().parse().unwrap()));
                    }
                }
                _ => {}
            }
        }
        println!("    the run ended: {:?}", child.wait());
        None
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Does something while the tool stands still, then lets it go on.
    pub fn stopped(&self, work: impl FnOnce()) {
        work();
        self.signal(rustix::process::Signal::CONT);
    }

    /// Lets it end, and kills it after four minutes: nothing it waits for may take that long.
    pub fn end(mut self) -> End {
        let started = std::time::Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        let (ended, waits) = std::sync::mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            let patience = std::time::Duration::from_secs(240);
            if waits.recv_timeout(patience) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        });
        let last = self.events.by_ref().map_while(Result::ok).last().unwrap_or_default();
        drop(ended);
        let exit = self.child.wait().unwrap().code().unwrap_or(-1);
        watch.join().unwrap();
        let error = serde_json::from_str::<serde_json::Value>(&last).unwrap_or_default()["error"].clone();
        let field = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        End {
            exit,
            code: field("code"),
            message: field("message"),
            hint: field("hint"),
            seconds: started.elapsed().as_secs(),
        }
    }
}

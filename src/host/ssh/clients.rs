//! Who is connected to a host's listeners, from what its `/proc` says.

use std::collections::HashMap;

use crate::host::proc;
use crate::host::{ClientProcess, Connection};

/// What a server's process that serves one connection is called (`sshd-session` since OpenSSH 9.8).
const SSHD: [&str; 2] = ["sshd", "sshd-session"];

/// The established connections to `ports`, from what [`super::scripts::CONNECTIONS`] prints. Those that our own ssh
/// connection dials there, for us, are left out.
pub(super) fn parse(text: &str, ports: &[u16]) -> Vec<Connection> {
    let mut processes: HashMap<u32, proc::Stat<'_>> = HashMap::new();
    let mut own_shell = None;
    let mut owners: HashMap<u64, u32> = HashMap::new();
    let mut lines = text.lines();
    for line in lines.by_ref().take_while(|line| *line != "sockets") {
        if let Some(pid) = line.strip_prefix("self ") {
            own_shell = pid.parse().ok();
        } else if let Some(stat) = proc::parse_stat(line)
            && let Some(pid) = line.split(' ').next().and_then(|pid| pid.parse().ok())
        {
            processes.insert(pid, stat);
        }
    }
    let mut holder = None;
    for line in lines.by_ref().take_while(|line| *line != "tcp") {
        if let Some(dir) = line.strip_prefix("/proc/") {
            holder = dir.split('/').next().and_then(|pid| pid.parse::<u32>().ok());
        } else if let (Some(pid), Some((_, link))) = (holder, line.rsplit_once(" -> "))
            && let Some(inode) = proc::socket_inode(link)
        {
            owners.entry(inode).or_insert(pid);
        }
    }
    let tables = lines.collect::<Vec<_>>().join("\n");

    let parent = |pid: u32| processes.get(&pid).map(|stat| stat.parent).filter(|&parent| parent != pid);
    let line_of = |pid: u32| std::iter::successors(Some(pid), |&pid| parent(pid)).take(64);
    let is_sshd = |pid: &u32| processes.get(pid).is_some_and(|stat| SSHD.contains(&stat.name));
    let own_server = own_shell.and_then(|shell| line_of(shell).find(is_sshd));
    let ours = |connection: &Connection| match (own_server, &connection.process) {
        (Some(server), Some(process)) => line_of(process.pid).any(|pid| pid == server),
        _ => false,
    };
    let owner = |inode| {
        let pid = *owners.get(&inode)?;
        Some(ClientProcess { pid, name: processes.get(&pid).map_or("", |stat| stat.name).to_owned() })
    };
    let mut found = proc::match_connections(&tables, ports, owner);
    found.retain(|connection| !ours(connection));
    found
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn clients_are_named_and_our_own_are_left_out() {
        let stat = |pid: u32, name: &str, parent: u32| {
            format!("{pid} ({name}) S {parent} 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 123456 10 11\n")
        };
        let socket = |sl: u32, local: &str, remote: &str, inode: u32| {
            format!("  {sl}: {local} {remote} 01 00000000:00000000 00:00000000 00000000 0 0 {inode} 1 0\n")
        };
        let server = "0100007F:094B";
        let text = [
            "self 90\n".to_owned(),
            stat(1, "systemd", 0),
            stat(20, "sshd", 1),
            // Ours: with a shell for the words at hand, a connection forwarded, and one dialled by a shell.
            stat(80, "sshd", 20),
            stat(90, "sh", 80),
            stat(95, "bash", 80),
            // Somebody else's ssh.
            stat(85, "sshd", 20),
            stat(40, "my app", 1),
            "sockets\n/proc/40/fd:\nlrwx------ 1 root root 64 Nov 21 23:57 7 -> socket:[14]\n".to_owned(),
            "/proc/80/fd:\nlrwx 1 r r 64 Nov 21 8 -> socket:[13]\n".to_owned(),
            "/proc/85/fd:\nlrwx 1 r r 64 Nov 21 8 -> socket:[15]\n".to_owned(),
            "/proc/95/fd:\nlrwx 1 r r 64 Nov 21 8 -> socket:[16]\n".to_owned(),
            "tcp\n  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n".to_owned(),
            socket(1, server, "0100007F:C353", 1),
            socket(2, "0100007F:C353", server, 13),
            socket(3, server, "0100007F:C354", 1),
            socket(4, "0100007F:C354", server, 14),
            socket(5, server, "0100007F:C355", 1),
            socket(6, "0100007F:C355", server, 15),
            socket(7, server, "0100007F:C356", 1),
            socket(8, "0100007F:C356", server, 16),
            socket(9, "650010AC:094B", "010010AC:C357", 1),
        ]
        .concat();
        let seen: Vec<_> = parse(&text, &[2379])
            .into_iter()
            .map(|c| {
                c.process.map_or_else(|| c.remote.ip().to_string(), |p| format!("{}[{}]", p.name, p.pid))
            })
            .collect();
        assert_eq!(seen, ["my app[40]", "sshd[85]", "172.16.0.1"]);
    }
}

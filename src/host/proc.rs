//! What the kernel shows of processes and connections under `/proc`.
//!
//! The parsers are pure; the functions that read `/proc` only feed them. Source of the formats: proc(5).

#![allow(
    clippy::disallowed_methods,
    reason = "the kernel's own files: nobody makes them large or waits in them"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{ClientProcess, Connection, Launch, RunningProcess};

/// The state column of an established connection in `/proc/net/tcp`.
const ESTABLISHED: &str = "01";

/// The process `pid` as it runs now: its own command line and environment, its user, and an identity that changes
/// when and only when it is started anew. `None` when there is no such process, or only its zombie.
///
/// # Errors
/// When the system refuses, such as for the environment of another user's process.
pub fn process(pid: u32) -> io::Result<Option<RunningProcess>> {
    let read = |what: &str| gone_is_none(std::fs::read(format!("/proc/{pid}/{what}")));
    let (Some(stat), Some(status), Some(cmdline), Some(environ)) =
        (read("stat")?, read("status")?, read("cmdline")?, read("environ")?)
    else {
        return Ok(None);
    };
    let Some(Stat { state, start_time, .. }) = parse_stat(&String::from_utf8_lossy(&stat)) else {
        return Err(odd(pid, "stat"));
    };
    // One that is being replaced by another program, or ends, has no command line.
    if matches!(state, 'Z' | 'X' | 'x') || cmdline.is_empty() {
        return Ok(None);
    }
    let uid = parse_uid(&String::from_utf8_lossy(&status)).ok_or_else(|| odd(pid, "status"))?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Ok(Some(RunningProcess {
        identity: format!("{pid}@{start_time}/{}", boot.trim()),
        pid,
        launch: Launch { argv: parse_cmdline(&cmdline), env: parse_environ(&environ) },
        uid,
    }))
}

/// The established connections whose local port is one of `ports`, with the client's process where the client runs
/// here. A client here whose process cannot be seen (another user's, and we are not root) has PID 0.
///
/// # Errors
/// When `/proc/net` cannot be read.
pub fn connections(ports: &[u16]) -> io::Result<Vec<Connection>> {
    let mut tables = std::fs::read_to_string("/proc/net/tcp")?;
    tables.push_str(&gone_is_none(std::fs::read_to_string("/proc/net/tcp6"))?.unwrap_or_default());
    let wanted = pair(&parse_tcp(&tables), ports).iter().filter_map(|(_, inode)| *inode).collect();
    let owners = owners(wanted);
    Ok(match_connections(&tables, ports, |inode| owners.get(&inode).cloned()))
}

/// The established connections of `/proc/net/tcp` and `tcp6` whose local port is one of `ports`; `owner` knows the
/// processes of sockets by inode.
pub(super) fn match_connections(
    tables: &str,
    ports: &[u16],
    owner: impl Fn(u64) -> Option<ClientProcess>,
) -> Vec<Connection> {
    let unknown = || ClientProcess { pid: 0, name: "a process of this machine".to_owned() };
    let pairs = pair(&parse_tcp(tables), ports);
    let connections = pairs.into_iter().map(|(server, inode)| Connection {
        local: server.local,
        remote: server.remote,
        process: inode.map(|inode| owner(inode).unwrap_or_else(unknown)),
    });
    connections.collect()
}

/// One line of `/proc/net/tcp` or `tcp6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    inode: u64,
}

/// What we need of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat<'a> {
    pub(super) name: &'a str,
    state: char,
    pub(super) parent: u32,
    /// Clock ticks after boot.
    start_time: u64,
}

/// `pid (name) state …`: the name may hold spaces and brackets, so the last bracket ends it.
pub(super) fn parse_stat(text: &str) -> Option<Stat<'_>> {
    let (head, rest) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the line; the parent is field 4.
    let start_time = fields.nth(17)?.parse().ok()?;
    Some(Stat { name, state, parent, start_time })
}

/// The effective user of `Uid: real effective saved filesystem`.
pub(crate) fn parse_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

pub(crate) fn parse_cmdline(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|&b| b == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

pub(crate) fn parse_environ(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for entry in bytes.split(|&b| b == 0) {
        if let Some((key, value)) = String::from_utf8_lossy(entry).split_once('=') {
            // The first of two is the one getenv(3) and Go's os.Getenv find.
            env.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    env
}

/// The established sockets of a table; lines of another shape (the heading) are passed over.
fn parse_tcp(table: &str) -> Vec<Socket> {
    table.lines().filter_map(parse_tcp_line).collect()
}

fn parse_tcp_line(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace();
    let (_slot, local, remote, state) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    if state != ESTABLISHED {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    Some(Socket { local: parse_address(local)?, remote: parse_address(remote)?, inode })
}

/// `0100007F:094B`: the address as 32-bit words in this machine's byte order, the port as a number. An IPv4 address
/// mapped into IPv6 is given as IPv4, so that both ends of one connection look alike.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            for (to, from) in bytes.chunks_exact_mut(4).zip(words) {
                to.copy_from_slice(&from);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The server ends at `ports`, each with the inode of its client's end where that is in the table too.
fn pair(sockets: &[Socket], ports: &[u16]) -> Vec<(Socket, Option<u64>)> {
    let by_ends: HashMap<_, _> = sockets.iter().map(|s| ((s.local, s.remote), s.inode)).collect();
    let servers = sockets.iter().filter(|socket| ports.contains(&socket.local.port()));
    servers.map(|socket| (*socket, by_ends.get(&(socket.remote, socket.local)).copied())).collect()
}

/// The processes that hold the sockets of these inodes, as far as we may see.
fn owners(mut wanted: BTreeSet<u64>) -> HashMap<u64, ClientProcess> {
    let mut found = HashMap::new();
    let Ok(processes) = std::fs::read_dir("/proc") else { return found };
    for entry in processes.flatten() {
        if wanted.is_empty() {
            break;
        }
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Gone meanwhile, or not ours to look into.
        let Ok(fds) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        for fd in fds.flatten() {
            let Some(inode) =
                std::fs::read_link(fd.path()).ok().and_then(|link| socket_inode(link.to_str()?))
            else {
                continue;
            };
            if wanted.remove(&inode) {
                found.insert(inode, ClientProcess { pid, name: name(pid) });
            }
        }
    }
    found
}

pub(super) fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn name(pid: u32) -> String {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    parse_stat(&stat).map_or_else(String::new, |stat| stat.name.to_owned())
}

/// A process that has gone is `None`: its files vanish, or answer ESRCH.
fn gone_is_none<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn odd(pid: u32, file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/{file} is not of the form proc(5) gives"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_name_may_hold_brackets_and_spaces() {
        let line = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 123456 10 11";
        assert_eq!(
            parse_stat(line),
            Some(Stat { name: "a) b (c", state: 'S', parent: 1, start_time: 123_456 })
        );
        assert_eq!(parse_stat("42 (etcd"), None);
        assert_eq!(parse_stat("42 (etcd) S 1 2"), None);
    }

    #[test]
    fn words_and_variables() {
        assert_eq!(parse_cmdline(b"etcd\0--name\0\0a b\0"), ["etcd", "--name", "", "a b"]);
        assert!(parse_cmdline(b"").is_empty());
        let env = parse_environ(b"A=1\0B=x=y\0A=2\0odd\0");
        assert_eq!(
            env.into_iter().collect::<Vec<_>>(),
            [("A".into(), "1".into()), ("B".into(), "x=y".into())]
        );
        assert_eq!(parse_uid("Name:\tetcd\nUid:\t0\t997\t0\t0\n"), Some(997));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_of_both_families() {
        assert_eq!(parse_address("650010AC:094B").unwrap(), "172.16.0.101:2379".parse().unwrap());
        let loopback = "00000000000000000000000001000000:0FA1";
        assert_eq!(parse_address(loopback).unwrap(), "[::1]:4001".parse().unwrap());
        let mapped = "0000000000000000FFFF0000650010AC:094B";
        assert_eq!(parse_address(mapped).unwrap(), "172.16.0.101:2379".parse().unwrap());
        for bad in ["", "0100007F", "0100007:1", "zz00007F:1", "0100007F:10000"] {
            assert_eq!(parse_address(bad), None, "{bad}");
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn only_established_sockets_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             \x20  0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0\n\
             \x20  1: 0100007F:094B 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0\n\
             \x20  2: 0100007F:C350 0100007F:094B 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0\n\
             \x20  3: 650010AC:094B 660010AC:C350 01 00000000:00000000 00:00000000 00000000     0        0 14 1 0\n";
        let sockets = parse_tcp(table);
        assert_eq!(sockets.len(), 3);
        let pairs = pair(&sockets, &[2379]);
        let seen: Vec<_> = pairs.iter().map(|(s, client)| (s.remote.to_string(), *client)).collect();
        assert_eq!(seen, [("127.0.0.1:50000".to_owned(), Some(13)), ("172.16.0.102:50000".to_owned(), None)]);
    }

    #[test]
    fn a_client_on_this_machine_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let client = TcpStream::connect(at).unwrap();
        let (_server, _) = listener.accept().unwrap();
        let seen = connections(&[at.port()]).unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!((seen[0].local, seen[0].remote), (at, client.local_addr().unwrap()));
        assert_eq!(seen[0].process.as_ref().unwrap().pid, std::process::id());
    }

    #[test]
    fn this_process_is_running_and_a_dead_one_is_not() {
        let me = process(std::process::id()).unwrap().unwrap();
        assert_eq!(me.uid, rustix::process::geteuid().as_raw());
        assert_eq!(me.launch.argv, std::env::args().collect::<Vec<_>>());
        assert_eq!(process(std::process::id()).unwrap().unwrap().identity, me.identity);
        // Above the kernel's limit of 2^22, so no process ever has it.
        assert_eq!(process(u32::MAX).unwrap(), None);
    }

    #[test]
    fn a_zombie_is_down() {
        let mut child = crate::host::command::command("true").spawn().unwrap();
        let zombie = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            process(child.id()).unwrap().is_none()
        });
        child.wait().unwrap();
        assert!(zombie);
    }
}

//! Established TCP connections, from `/proc/net/tcp` and `/proc/net/tcp6`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One end of an established connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) inode: u64,
}

/// All established connections' ends in this network namespace.
pub(super) fn established() -> Vec<Socket> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|text| parse(&text))
        .collect()
}

/// The inodes of the sockets that a process holds; none when it is gone or not ours to look at.
pub(super) fn held_by(pid: u32) -> BTreeSet<u64> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeSet::new() };
    let inode =
        |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok().and_then(inode)).collect()
}

fn parse(table: &str) -> Vec<Socket> {
    table.lines().skip(1).filter_map(line).collect()
}

fn line(line: &str) -> Option<Socket> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    // 01 is TCP_ESTABLISHED in the kernel's tcp_states.h.
    if state != "01" {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    Some(Socket { local: address(local)?, remote: address(remote)?, inode })
}

/// `0101007F:094B`: 32-bit words in the machine's byte order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<[u8; 4]>> = (0..ip.len() / 8)
        .map(|i| u32::from_str_radix(ip.get(8 * i..8 * i + 8)?, 16).ok().map(u32::to_ne_bytes))
        .collect();
    let ip = match words?.as_slice() {
        [v4] => IpAddr::V4(Ipv4Addr::from(*v4)),
        words @ [_, _, _, _] => {
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_of_our_own_is_seen_from_both_ends() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let all = established();
        let find = |local, remote| all.iter().find(|s| s.local == local && s.remote == remote).unwrap().inode;
        let mine = held_by(std::process::id());
        let (a, b) = (client.local_addr().unwrap(), server.local_addr().unwrap());
        assert!(mine.contains(&find(a, b)) && mine.contains(&find(b, a)));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_notation_is_read() {
        assert_eq!(address("0101007F:094B"), Some("127.0.1.1:2379".parse().unwrap()));
        let mapped = "0000000000000000FFFF00000100007F:0FA1";
        assert_eq!(address(mapped), Some("127.0.0.1:4001".parse().unwrap()));
        assert_eq!(address("00000000000000000000000001000000:0FA1"), Some("[::1]:4001".parse().unwrap()));
        assert_eq!(address("xyz"), None);
    }
}

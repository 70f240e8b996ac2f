//! Where members are: loopback addresses of their own, with the ports they have in production.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::error::ClusterError;
use crate::etcd::ports;
use crate::etcd::{HostPort, MemberUrl, Scheme};

/// The most members that can be asked for; etcd itself advises seven at most.
pub const MOST_MEMBERS: u8 = 9;

/// The addresses of so many members, one after the other from `base` on.
///
/// # Errors
/// [`ClusterError::Addresses`] when they do not all lie in 127.0.0.0/8.
pub fn addresses(base: Ipv4Addr, members: u8) -> Result<Vec<Ipv4Addr>, ClusterError> {
    let first = u32::from(base);
    let all: Option<Vec<_>> =
        (0..u32::from(members)).map(|i| first.checked_add(i).map(Ipv4Addr::from)).collect();
    all.filter(|all| all.iter().all(Ipv4Addr::is_loopback)).ok_or(ClusterError::Addresses { base, members })
}

/// Checks that every port of every address is free.
///
/// # Errors
/// [`ClusterError::PortInUse`], [`ClusterError::Listen`].
pub fn check_ports(addresses: &[Ipv4Addr]) -> Result<(), ClusterError> {
    for &address in addresses {
        for port in [ports::CLIENT, ports::PEER, ports::LEGACY, ports::TEMPORARY_HTTPS] {
            let address = SocketAddr::from((address, port));
            match TcpListener::bind(address) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    return Err(ClusterError::PortInUse { address });
                }
                Err(source) => return Err(ClusterError::Listen { address, source }),
            }
        }
    }
    Ok(())
}

/// A URL at an address.
pub fn url(address: Ipv4Addr, scheme: Scheme, port: u16) -> MemberUrl {
    MemberUrl::new(scheme, HostPort::from(SocketAddr::from((address, port))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_on_the_loopback_net() {
        let base = Ipv4Addr::new(127, 0, 1, 254);
        let all = addresses(base, 3).unwrap();
        assert_eq!(all[2], Ipv4Addr::new(127, 0, 2, 0));
        assert!(addresses(Ipv4Addr::new(10, 0, 0, 1), 1).is_err());
        assert!(addresses(Ipv4Addr::new(127, 255, 255, 255), 2).is_err());
        assert!(addresses(Ipv4Addr::BROADCAST, 2).is_err());
    }

    #[test]
    fn a_taken_port_is_named() {
        let address = Ipv4Addr::new(127, 63, 0, 1);
        let taken = TcpListener::bind((address, ports::LEGACY)).unwrap();
        let Err(ClusterError::PortInUse { address }) = check_ports(&[address]) else {
            panic!("it is taken");
        };
        assert_eq!(address, taken.local_addr().unwrap());
    }
}

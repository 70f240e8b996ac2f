//! Connections dialled by a shell on the host, where its server forwards none.

use std::io::{self, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::connection::{Connection, skip_to_mark};
use super::error::telling;
use super::{kind_of, scripts};
use crate::host::command::Reaped;
use crate::until::Until;

/// A connection whose ends are a shell's standard input and output.
#[derive(Debug)]
pub(super) struct ShellDial {
    from_host: UnixStream,
    to_host: UnixStream,
    /// Killed as this is dropped.
    _child: Reaped,
}

impl ShellDial {
    pub(super) fn open(connection: &Connection, address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let (from_host, theirs_out) = UnixStream::pair()?;
        let (to_host, theirs_in) = UnixStream::pair()?;
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let mut ssh = connection.command(&["sh", "-c", scripts::DIAL, "sh", &ip, &port]);
        ssh.stdin(Stdio::from(OwnedFd::from(theirs_in)));
        ssh.stdout(Stdio::from(OwnedFd::from(theirs_out)));
        ssh.stderr(Stdio::piped());
        let mut child = Reaped::spawn(ssh)?;
        from_host.set_read_timeout(Some(timeout))?;
        let mut stands = [0; 1];
        let answer = {
            // One byte at a time: what follows is not ours.
            let from = Until::new(&from_host, Instant::now() + timeout);
            let mut from = BufReader::with_capacity(1, from);
            skip_to_mark(&mut from).and_then(|()| from.read_exact(&mut stands))
        };
        match answer {
            Ok(()) if stands == *b"+" => Ok(Self { from_host, to_host, _child: child }),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(io::ErrorKind::TimedOut.into())
            }
            _ => {
                let mut said = String::new();
                if child.wait_for(Duration::from_secs(1))
                    && let Some(stderr) = child.child().stderr.take()
                {
                    let _ = stderr.take(4 << 10).read_to_string(&mut said);
                }
                // bash names the reason in its last line but one.
                let line = said.lines().find(|line| kind_of(line) != io::ErrorKind::Other).unwrap_or(&said);
                Err(io::Error::new(kind_of(line), telling(line)))
            }
        }
    }
}

impl Read for ShellDial {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.from_host.read(into)
    }
}

impl Write for ShellDial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to_host.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for ShellDial {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from_host.as_fd()
    }
}

impl crate::host::Stream for ShellDial {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.from_host.set_read_timeout(timeout)?;
        self.to_host.set_write_timeout(timeout)
    }
}

//! Connections dialled by a host, over the ssh connection that stands: what `ssh -W` does, without a process for each,
//! and with an answer before the first byte.
//!
//! The control socket's protocol is OpenSSH's PROTOCOL.mux, version 4 (since 5.8). The request is
//! `MUX_C_NEW_STDIO_FWD`; its two streams are passed as file descriptors.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

const HELLO: u32 = 0x0000_0001;
const VERSION: u32 = 4;
const NEW_STDIO_FORWARD: u32 = 0x1000_0008;
const SESSION_OPENED: u32 = 0x8000_0006;
/// What a packet may hold, in bytes: ours are small.
const LARGEST: u32 = 64 << 10;

/// A connection that the host dialled.
#[derive(Debug)]
pub(super) struct Forwarded {
    from_host: UnixStream,
    to_host: UnixStream,
    /// As long as it is open, so is the connection.
    _control: UnixStream,
}

impl Forwarded {
    /// Asks the connection at `socket` to have its host dial `address`.
    pub(super) fn open(socket: &Path, address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let mut control = UnixStream::connect(socket)?;
        control.set_read_timeout(Some(timeout))?;
        control.set_write_timeout(Some(timeout))?;
        send(&mut control, &[HELLO.to_be_bytes(), VERSION.to_be_bytes()].concat())?;
        let hello = receive(&mut control)?;
        if hello.first() != Some(&HELLO) || hello.get(1) != Some(&VERSION) {
            return Err(io::Error::other("ssh's control socket speaks another protocol"));
        }
        // Two pairs: of a single one the end of what the host sends could not be seen.
        let (from_host, theirs_out) = UnixStream::pair()?;
        let (to_host, theirs_in) = UnixStream::pair()?;
        let mut request = Vec::new();
        for number in [NEW_STDIO_FORWARD, 1, 0] {
            request.extend(u32::to_be_bytes(number));
        }
        let host = address.ip().to_string();
        request.extend(u32::try_from(host.len()).map_err(io::Error::other)?.to_be_bytes());
        request.extend(host.as_bytes());
        request.extend(u32::from(address.port()).to_be_bytes());
        send(&mut control, &request)?;
        pass(&control, theirs_in.as_fd())?;
        pass(&control, theirs_out.as_fd())?;
        match receive(&mut control)?.first() {
            Some(&SESSION_OPENED) => Ok(Self { from_host, to_host, _control: control }),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

impl Read for Forwarded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.from_host.read(into)
    }
}

impl Write for Forwarded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to_host.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Forwarded {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from_host.as_fd()
    }
}

impl crate::host::Stream for Forwarded {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.from_host.set_read_timeout(timeout)?;
        self.to_host.set_write_timeout(timeout)
    }
}

fn send(control: &mut UnixStream, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    control.write_all(&[&length.to_be_bytes(), body].concat())
}

/// A packet, as the numbers it begins with.
fn receive(control: &mut UnixStream) -> io::Result<Vec<u32>> {
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length as usize];
    control.read_exact(&mut body)?;
    Ok(body.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect())
}

/// Passes a file descriptor, with the one byte that it must come with.
fn pass(control: &UnixStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    let fds = [fd];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(control, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

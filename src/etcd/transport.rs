//! How bytes reach a member: dialled by whoever can, with TLS on top, as a transport of the HTTP client.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustls::ClientConnection;
use rustls_pki_types::ServerName;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::error::Fault;
use super::tls::Tls;
use super::types::HostPort;
use crate::host::{Host, HostError, Stream};

/// Whoever opens connections: this machine, or a host that we reach by other means.
pub trait Dial: Send + Sync {
    /// Connects to `at`, in `timeout` at most.
    ///
    /// # Errors
    /// As the system says; the kind tells refused from unreachable and timed out.
    fn dial(&self, at: &HostPort, timeout: Duration) -> io::Result<Box<dyn Stream>>;
}

/// Dials from this machine, trying each address of a name in turn.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Dial for Direct {
    fn dial(&self, at: &HostPort, timeout: Duration) -> io::Result<Box<dyn Stream>> {
        let end = Instant::now() + timeout;
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", at.host()));
        for address in (at.host(), at.port()).to_socket_addrs()? {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Box::new(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Dials from a host; a name is looked up here.
pub struct DialFrom(pub Arc<dyn Host>);

impl Dial for DialFrom {
    fn dial(&self, at: &HostPort, timeout: Duration) -> io::Result<Box<dyn Stream>> {
        let other = io::Error::other;
        let address = match at.ip() {
            Some(ip) => SocketAddr::new(ip, at.port()),
            None => (at.host(), at.port())
                .to_socket_addrs()?
                .next()
                .ok_or_else(|| other(format!("{} has no address", at.host())))?,
        };
        self.0.dial(address, timeout).map_err(|error| match error {
            HostError::Dial { source, .. } => source,
            error => other(error.to_string()),
        })
    }
}

/// Makes the HTTP client's connections to one member.
pub(super) struct Via {
    pub(super) at: HostPort,
    pub(super) dial: Arc<dyn Dial>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) timeout: Duration,
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Via({})", self.at)
    }
}

impl Via {
    /// A connection ready for a request: TCP, and the TLS handshake where there is TLS.
    pub(super) fn connect(&self) -> Result<Link, Fault> {
        let end = Instant::now() + self.timeout;
        let stream = self.dial.dial(&self.at, self.timeout).map_err(|error| Fault::from_io(&error))?;
        let Some(tls) = &self.tls else { return Ok(Link::Plain(stream)) };
        let name = ServerName::try_from(self.at.host().to_owned()).map_err(Fault::malformed)?;
        let session = ClientConnection::new(tls.config(), name).map_err(|error| Fault::from_tls(&error))?;
        let mut link = TlsLink { session: Box::new(session), stream };
        match link.handshake(end) {
            Ok(()) => Ok(Link::Tls(link)),
            // etcd's plain port closes on a TLS hello without a word.
            Err(Fault::Closed) if self.speaks_plain_http() => Err(Fault::PlainHttpPort),
            Err(fault) => Err(fault),
        }
    }

    /// Whether the port answers a request in clear.
    fn speaks_plain_http(&self) -> bool {
        let ask = || {
            let mut stream = self.dial.dial(&self.at, GLANCE)?;
            stream.set_timeout(Some(GLANCE))?;
            stream.write_all(b"GET /version HTTP/1.0\r\n\r\n")?;
            let mut start = [0; 5];
            stream.read_exact(&mut start)?;
            io::Result::Ok(&start == b"HTTP/")
        };
        ask().unwrap_or(false)
    }

    /// The alert that TLS 1.3 sends after the handshake, where a connection was closed without a word: a reset may have
    /// swallowed it, and without a request of ours in flight nothing can.
    pub(super) fn late_alert(&self) -> Option<Fault> {
        self.tls.as_ref()?;
        let fault = match self.connect() {
            Ok(mut link) => link.read(&mut [0; 1], GLANCE).err()?,
            Err(fault) => fault,
        };
        // Whatever else is seen now says nothing of the call that failed.
        matches!(fault, Fault::Tls { .. }).then_some(fault)
    }
}

/// How long a second look may take.
const GLANCE: Duration = Duration::from_secs(1);

/// An open connection.
#[derive(Debug)]
pub(super) enum Link {
    Plain(Box<dyn Stream>),
    Tls(TlsLink),
}

impl Link {
    fn read(&mut self, into: &mut [u8], timeout: Duration) -> Result<usize, Fault> {
        match self {
            Self::Plain(stream) => {
                stream.set_timeout(Some(timeout)).map_err(|error| Fault::from_io(&error))?;
                retry(|| stream.read(into)).map_err(|error| Fault::from_io(&error))
            }
            Self::Tls(link) => link.read(into, timeout),
        }
    }

    fn write_all(&mut self, bytes: &[u8], timeout: Duration) -> Result<(), Fault> {
        match self {
            Self::Plain(stream) => {
                stream.set_timeout(Some(timeout)).map_err(|error| Fault::from_io(&error))?;
                stream.write_all(bytes).map_err(|error| Fault::from_io(&error))
            }
            Self::Tls(link) => link.write_all(bytes, timeout),
        }
    }

    /// Whether an idle connection can take another request: nothing to read, and not closed.
    fn is_idle(&mut self) -> bool {
        // A socket's timeout is rounded up to the kernel's clock ticks, 16 ms in the worst case: ask without one.
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(link) if link.session.wants_read() => &link.stream,
            Self::Tls(_) => return false,
        };
        let mut polled = [PollFd::new(stream, PollFlags::IN)];
        if rustix::event::poll(&mut polled, Some(&Timespec::default())) == Ok(0) {
            return true;
        }
        // It may be a session ticket, which is no data.
        const AT_ONCE: Duration = Duration::from_millis(1);
        matches!(self.read(&mut [0; 1], AT_ONCE), Err(Fault::Timeout))
    }
}

/// TLS over a stream, with the server's alert kept even where a write fails first.
pub(super) struct TlsLink {
    session: Box<ClientConnection>,
    stream: Box<dyn Stream>,
}

impl fmt::Debug for TlsLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsLink({:?})", self.stream)
    }
}

impl TlsLink {
    fn handshake(&mut self, end: Instant) -> Result<(), Fault> {
        while self.session.is_handshaking() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Fault::Timeout);
            }
            self.stream.set_timeout(Some(left)).map_err(|error| Fault::from_io(&error))?;
            self.flush()?;
            if self.session.is_handshaking() && self.receive()? == 0 {
                return Err(Fault::Closed);
            }
        }
        self.flush()
    }

    fn read(&mut self, into: &mut [u8], timeout: Duration) -> Result<usize, Fault> {
        self.stream.set_timeout(Some(timeout)).map_err(|error| Fault::from_io(&error))?;
        let end = Instant::now() + timeout;
        loop {
            match self.session.reader().read(into) {
                Ok(amount) => return Ok(amount),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Fault::from_io(&error)),
            }
            // Session tickets and key updates are no data: look at the clock before waiting again.
            if Instant::now() >= end {
                return Err(Fault::Timeout);
            }
            self.receive()?;
            self.flush()?;
        }
    }

    fn write_all(&mut self, bytes: &[u8], timeout: Duration) -> Result<(), Fault> {
        self.stream.set_timeout(Some(timeout)).map_err(|error| Fault::from_io(&error))?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.session.writer().write(rest).map_err(|error| Fault::from_io(&error))?;
            rest = &rest[taken..];
            self.flush()?;
        }
        Ok(())
    }

    /// Reads once and processes; 0 is the end of the stream.
    fn receive(&mut self) -> Result<usize, Fault> {
        let amount =
            retry(|| self.session.read_tls(&mut self.stream)).map_err(|error| Fault::from_io(&error))?;
        if let Err(error) = self.session.process_new_packets() {
            // Plain HTTP in answer to our hello.
            if matches!(error, rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) {
                return Err(Fault::PlainHttpPort);
            }
            // The server hears what we think of it; that it may be gone already is no matter.
            let _ = self.session.write_tls(&mut self.stream);
            return Err(Fault::from_tls(&error));
        }
        Ok(amount)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        while self.session.wants_write() {
            if let Err(error) = retry(|| self.session.write_tls(&mut self.stream)) {
                // The alert that explains it may be waiting to be read.
                if let Err(fault @ Fault::Tls { .. }) = self.receive() {
                    return Err(fault);
                }
                return Err(Fault::from_io(&error));
            }
        }
        self.stream.flush().map_err(|error| Fault::from_io(&error))
    }
}

fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// A [`Fault`] on its way through the HTTP client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Carried(pub(super) Fault);

impl From<Fault> for ureq::Error {
    fn from(fault: Fault) -> Self {
        Self::Other(Box::new(Carried(fault)))
    }
}

impl Connector for Via {
    type Out = Wire;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Wire>, ureq::Error> {
        let link = Self::connect(self)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Wire { link, buffers, timeout: self.timeout }))
    }
}

/// A [`Link`] with the HTTP client's buffers.
#[derive(Debug)]
pub(super) struct Wire {
    link: Link,
    buffers: LazyBuffers,
    timeout: Duration,
}

impl Wire {
    fn patience(&self, next: &NextTimeout) -> Result<Duration, ureq::Error> {
        if next.after.is_not_happening() {
            return Ok(self.timeout);
        }
        if next.after.is_zero() { Err(ureq::Error::Timeout(next.reason)) } else { Ok(*next.after) }
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let patience = self.patience(&timeout.for_write())?;
        self.link.write_all(&self.buffers.output()[..amount], patience)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let patience = self.patience(&timeout.for_read())?;
        let amount = self.link.read(self.buffers.input_append_buf(), patience)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.link.is_idle()
    }

    fn is_tls(&self) -> bool {
        matches!(self.link, Link::Tls(_))
    }
}

/// Names are resolved where the connection is dialled, not here.
#[derive(Debug)]
pub(super) struct Unresolved;

impl Resolver for Unresolved {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
        Ok(addresses)
    }
}

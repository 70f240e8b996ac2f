//! A stream that ends at a moment, however often the other side sends another byte before.

use std::io::{self, Read, Write};
use std::time::Instant;

/// A stream that fails with [`io::ErrorKind::TimedOut`] from a moment on. How long a single read or write waits is the inner
/// stream's own affair.
#[derive(Debug)]
pub(crate) struct Until<S> {
    stream: S,
    end: Instant,
}

impl<S> Until<S> {
    pub(crate) const fn new(stream: S, end: Instant) -> Self {
        Self { stream, end }
    }

    fn in_time(&self) -> io::Result<()> {
        if Instant::now() < self.end { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

impl<S: Read> Read for Until<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.in_time()?;
        self.stream.read(into)
    }
}

impl<S: Write> Write for Until<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.in_time()?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.in_time()?;
        self.stream.flush()
    }
}

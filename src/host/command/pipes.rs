//! A child's pipes, written and read without waiting.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::host::limits;

/// How many of the last bytes are at hand.
const LAST: usize = 256;

/// What is still to be written into the child's standard input.
pub(super) struct Feed<'a> {
    /// None when the child wants nothing more, or it was taken away.
    pub(super) pipe: Option<OwnedFd>,
    rest: &'a [u8],
}

impl<'a> Feed<'a> {
    pub(super) const fn new(pipe: Option<OwnedFd>, rest: &'a [u8]) -> Self {
        Self { pipe, rest }
    }

    /// The pipe, while something is to be written.
    pub(super) fn waiting(&self) -> Option<&OwnedFd> {
        self.pipe.as_ref().filter(|_| !self.rest.is_empty())
    }

    /// Writes what the pipe takes.
    pub(super) fn push(&mut self) {
        while let Some(pipe) = self.waiting() {
            match rustix::io::write(pipe.as_fd(), self.rest) {
                Ok(n) => self.rest = &self.rest[n..],
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => self.pipe = None,
            }
        }
    }
}

/// What the child has printed on one stream.
#[derive(Debug)]
pub(super) struct Drain {
    pub(super) pipe: Option<OwnedFd>,
    /// What has come, at most [`limits::OUTPUT`].
    pub(super) bytes: Vec<u8>,
    /// The last that have come: [`LAST`] of them, or more.
    pub(super) last: Vec<u8>,
    /// More has come than that.
    pub(super) is_over: bool,
}

impl Drain {
    pub(super) const fn new(pipe: Option<OwnedFd>) -> Self {
        Self { pipe, bytes: Vec::new(), is_over: false, last: Vec::new() }
    }

    /// Reads what is there, until it is too much.
    pub(super) fn pull(&mut self) {
        let mut buffer = [0u8; 16 << 10];
        while let Some(pipe) = self.pipe.as_ref().filter(|_| !self.is_over) {
            match rustix::io::read(pipe.as_fd(), &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(n) => {
                    self.is_over = self.bytes.len() + n > limits::OUTPUT;
                    if self.is_over {
                        return;
                    }
                    self.bytes.extend_from_slice(&buffer[..n]);
                    let gone = self.last.len().saturating_sub(LAST);
                    self.last.drain(..gone);
                    self.last.extend_from_slice(&buffer[..n]);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => self.pipe = None,
            }
        }
    }
}

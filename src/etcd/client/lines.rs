//! Answers that come line by line, each of them bounded in length and time.

use std::io::{self, BufRead, BufReader, Read};
use std::time::{Duration, Instant};

/// Lines of a stream that may never end.
pub(super) struct Lines<R> {
    from: BufReader<R>,
    /// What a line may have, in bytes.
    length: usize,
    /// How long it may take from its first byte to its last.
    time: Duration,
}

/// Why there is no next line.
#[derive(Debug)]
pub(super) enum NoLine {
    Io(io::Error),
    TooLong,
    TooSlow,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(from: R, length: usize, time: Duration) -> Self {
        Self { from: BufReader::new(from), length, time }
    }

    /// The next line with its end; `None` at the end of the stream. Waits for its first byte as long as the stream does.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, NoLine> {
        let mut line = Vec::new();
        let mut end = None;
        loop {
            let part = match self.from.fill_buf() {
                Ok(part) => part,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(NoLine::Io(error)),
            };
            let found = part.iter().position(|&byte| byte == b'\n');
            let used = found.map_or(part.len(), |at| at + 1);
            if line.len() + used > self.length {
                return Err(NoLine::TooLong);
            }
            line.extend_from_slice(&part[..used]);
            self.from.consume(used);
            if found.is_some() || used == 0 {
                return Ok(Some(line).filter(|line| !line.is_empty()));
            }
            if Instant::now() > *end.get_or_insert_with(|| Instant::now() + self.time) {
                return Err(NoLine::TooSlow);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_length_and_a_time() {
        const LONG: Duration = Duration::from_secs(60);
        let text = b"one\n\ntwo";
        let mut lines = Lines::new(&text[..], 4, LONG);
        assert_eq!(lines.next().unwrap().as_deref(), Some(&b"one\n"[..]));
        assert_eq!(lines.next().unwrap().as_deref(), Some(&b"\n"[..]));
        assert_eq!(lines.next().unwrap().as_deref(), Some(&b"two"[..]));
        assert!(lines.next().unwrap().is_none());
        assert!(matches!(Lines::new(io::repeat(b'x'), 1 << 20, LONG).next(), Err(NoLine::TooLong)));

        struct Drip;
        impl Read for Drip {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                std::thread::sleep(Duration::from_millis(10));
                into[0] = b'x';
                Ok(1)
            }
        }
        let drip = Lines::new(Drip, 1 << 20, Duration::from_millis(100)).next();
        assert!(matches!(drip, Err(NoLine::TooSlow)));
    }
}

//! Reading files that the user names: regular ones, to a limit, without ever waiting for a stranger.
//!
//! A named pipe, a device or a socket in the place of an input is refused at once. What a shell makes of `<(command)`
//! is another thing: an anonymous pipe whose other end is a command that the user started; it is read like a file.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use zeroize::{Zeroize, Zeroizing};

use super::look::{image, not_regular};
use super::{FileError, FileImage, FileMode, Owner};
use crate::limits::Limit;

/// How long a pipe may be silent: long enough for a command that asks its user for a password first.
const PIPE_WAIT: Duration = Duration::from_secs(120);

/// Reads a file that the user names, with its owner and mode. Symlinks are followed; an anonymous pipe (`<(command)`,
/// `/dev/stdin` behind a pipe) is read to its end.
///
/// # Errors
/// [`FileError::NotRegular`], [`FileError::TooLarge`], [`FileError::Silent`], or [`FileError::Io`], also when it is not
/// there.
pub fn read_input(path: &Path, limit: Limit) -> Result<FileImage, FileError> {
    let (fd, stat) = open(path, |kind, is_anonymous| {
        kind == FileType::RegularFile || (kind == FileType::Fifo && is_anonymous)
    })?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        return image(File::from(fd), &stat, path, limit);
    }
    // Whole from the start: a buffer that grows leaves copies of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(limit.bytes).unwrap_or(0) + 1));
    let mut pipe = Pipe { file: File::from(fd), path };
    while let Some(part) = pipe.next()? {
        if (bytes.len() + part.len()) as u64 > limit.bytes {
            return Err(FileError::TooLarge { path: path.to_owned(), size: None, limit });
        }
        bytes.extend_from_slice(&part);
    }
    Ok(FileImage {
        bytes: std::mem::take(&mut bytes),
        mode: FileMode::new(stat.st_mode),
        owner: Owner { uid: stat.st_uid, gid: stat.st_gid },
    })
}

/// Reads the first line of a file, a pipe (named ones too) or a terminal, without its end; nothing after it is asked for.
///
/// # Errors
/// As of [`read_input`]; [`FileError::TooLarge`] when the line is longer than the limit.
pub fn read_first_line(path: &Path, limit: Limit) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let (fd, _) = open(path, |kind, _| {
        matches!(kind, FileType::RegularFile | FileType::Fifo | FileType::CharacterDevice)
    })?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(limit.bytes).unwrap_or(0) + PART));
    let mut input = Pipe { file: File::from(fd), path };
    while !bytes.contains(&b'\n') && bytes.len() as u64 <= limit.bytes {
        let Some(part) = input.next()? else { break };
        bytes.extend_from_slice(&part);
    }
    if let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
        bytes[end..].zeroize();
        bytes.truncate(end);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    if bytes.len() as u64 > limit.bytes {
        return Err(FileError::TooLarge { path: path.to_owned(), size: None, limit });
    }
    Ok(bytes)
}

/// Opens a path without waiting, if what is there is `accepted` (its kind, and whether it is an anonymous pipe).
fn open(path: &Path, accepted: impl Fn(FileType, bool) -> bool) -> Result<(OwnedFd, Stat), FileError> {
    let check = |stat: &Stat, is_anonymous: bool| {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if accepted(kind, is_anonymous) { Ok(()) } else { Err(not_regular(path, kind)) }
    };
    // Before it is opened, since opening alone moves a tape or starts a watchdog; whether a pipe has a name is seen after.
    check(&rustix::fs::stat(path).map_err(FileError::io("read", path))?, true)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(FileError::io("read", path))?;
    let stat = rustix::fs::fstat(&fd).map_err(FileError::io("read", path))?;
    let system = rustix::fs::fstatfs(&fd).map_err(FileError::io("read", path))?;
    check(&stat, system.f_type == PIPEFS)?;
    Ok((fd, stat))
}

/// The file system of anonymous pipes (linux/magic.h, `PIPEFS_MAGIC`).
const PIPEFS: rustix::fs::FsWord = 0x5049_5045;

/// As much as is read at once.
const PART: usize = 4096;

/// An input that may make its reader wait.
struct Pipe<'a> {
    file: File,
    path: &'a Path,
}

impl Pipe<'_> {
    /// What comes next; `None` at the end.
    fn next(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
        let silent = || FileError::Silent { path: self.path.to_owned(), seconds: PIPE_WAIT.as_secs() };
        let wait = Timespec { tv_sec: PIPE_WAIT.as_secs() as i64, tv_nsec: 0 };
        let mut part = Zeroizing::new(vec![0; PART]);
        loop {
            let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut fds, Some(&wait)) {
                Ok(0) => return Err(silent()),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(FileError::io("read", self.path)(errno)),
            }
            match self.file.read(&mut part) {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    part.truncate(count);
                    return Ok(Some(part));
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock
                    ) => {}
                Err(error) => return Err(FileError::reading(self.path)(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::*;
    use crate::limits::PKI;

    fn named_pipe(dir: &Path) -> PathBuf {
        let path = dir.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        path
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        for (path, what) in [
            (named_pipe(dir.path()), "a named pipe"),
            (dir.path().join("socket"), "a socket"),
            (dir.path().to_owned(), "a directory"),
            ("/dev/zero".into(), "a device"),
        ] {
            let link = dir.path().join("link");
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&path, &link).unwrap();
            for path in [path, link] {
                let error = read_input(&path, PKI).unwrap_err();
                assert!(error.to_string().ends_with(&format!("is {what}, not a regular file")), "{error}");
                assert!(error.hint().is_some());
            }
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_with_its_size_and_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large.pem");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = read_input(&path, PKI).unwrap_err().to_string();
        assert!(error.contains("large.pem: it has 1024 GiB, and certificates, keys and revocation lists are read up to 16 MiB"), "{error}");
        std::fs::write(&path, "12345").unwrap();
        let limit = |bytes| Limit { bytes, of: "numbers" };
        assert_eq!(read_input(&path, limit(5)).unwrap().bytes, b"12345");
        assert!(matches!(read_input(&path, limit(4)), Err(FileError::TooLarge { size: Some(5), .. })));
        // Files of /proc have no size.
        assert!(matches!(
            read_input(Path::new("/proc/self/maps"), limit(5)),
            Err(FileError::TooLarge { size: None, .. })
        ));
    }

    #[test]
    fn a_first_line_comes_from_a_file_or_a_named_pipe_and_is_bounded() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let limit = Limit { bytes: 8, of: "lines" };
        let file = dir.path().join("file");
        for (text, line) in
            [("secret\nmore", "secret"), ("secret\r\n", "secret"), ("secret12", "secret12"), ("", "")]
        {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read_first_line(&file, limit).unwrap().as_slice(), line.as_bytes());
        }
        std::fs::write(&file, "secret123\n").unwrap();
        assert!(matches!(read_first_line(&file, limit), Err(FileError::TooLarge { .. })));
        assert!(matches!(read_first_line(Path::new("/dev/zero"), limit), Err(FileError::TooLarge { .. })));
        // The writer comes later, and stays: the line is enough.
        let pipe = named_pipe(dir.path());
        let there = pipe.clone();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            let mut writer = File::options().write(true).open(there).unwrap();
            writer.write_all(b"secret\n").unwrap();
            writer
        });
        assert_eq!(read_first_line(&pipe, limit).unwrap().as_slice(), b"secret");
        drop(writer.join().unwrap());
    }
}

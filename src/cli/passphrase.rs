//! Where the CA key's passphrase comes from: a file, a file descriptor, the terminal. Never an argument: everybody on
//! the machine can read those.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::{Context, Failure};
use crate::ca::Passphrase;
use crate::ca::stored::{CaKey, check_cost};
use crate::files;
use crate::limits::PASSPHRASE;
use crate::text;

/// Where the passphrase of the CA key comes from.
#[derive(Debug, Clone, Args)]
pub(super) struct PassphraseArgs {
    /// Read the passphrase from the first line of this file (or pipe), which has at most 4096 bytes.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase from the first line of this file descriptor.
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    passphrase_fd: Option<u32>,
}

impl PassphraseArgs {
    /// The passphrase for a new key, where one was given.
    pub(super) fn given(&self) -> Result<Option<Passphrase>, Failure> {
        match (&self.passphrase_file, self.passphrase_fd) {
            (Some(path), _) => first_line(path).map(Some),
            (None, Some(fd)) => first_line(Path::new(&format!("/proc/self/fd/{fd}"))).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The passphrase of the CA's key, where it needs one: as given, or asked for on the terminal.
    pub(super) fn for_ca(&self, context: &Context, key: &CaKey) -> Result<Option<Passphrase>, Failure> {
        if key.is_encrypted() {
            check_cost(key.path(), key.bytes())?;
            self.for_key(key.path()).map(Some)
        } else {
            if self.passphrase_file.is_some() || self.passphrase_fd.is_some() {
                context.out.detail(format_args!("{} is not encrypted", key.path().display()));
            }
            Ok(None)
        }
    }

    /// Whether [`Self::for_ca`] asks on the terminal.
    pub(super) fn is_asked_for(&self, key: &CaKey) -> bool {
        key.is_encrypted() && self.passphrase_file.is_none() && self.passphrase_fd.is_none()
    }

    /// The passphrase of a file that is to be made: as given, or asked for twice.
    pub(super) fn for_new_file(&self) -> Result<Passphrase, Failure> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase),
            None => ask_new(),
        }
    }

    /// The passphrase of an encrypted key.
    pub(super) fn for_key(&self, key: &Path) -> Result<Passphrase, Failure> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase),
            None => ask(&format!("Passphrase of {}: ", key.display())),
        }
    }
}

fn first_line(path: &Path) -> Result<Passphrase, Failure> {
    const HINT: &str = "give a file or descriptor whose first line is the passphrase";
    let line = files::read_first_line(path, PASSPHRASE).map_err(|error| Failure::from(error).hint(HINT))?;
    if line.is_empty() {
        let message = format!("cannot read the passphrase from {}: its first line is empty", path.display());
        return Err(Failure::usage("unreadable", message).hint(HINT));
    }
    Ok(Passphrase::new(line))
}

/// Asks for a new passphrase, twice.
pub(super) fn ask_new() -> Result<Passphrase, Failure> {
    let first = ask("New passphrase: ")?;
    if first.as_bytes() == ask("The same again: ")?.as_bytes() {
        return Ok(first);
    }
    Err(Failure::no("passphrases-differ", "the two passphrases differ").hint("nothing was made; try again"))
}

fn ask(prompt: &str) -> Result<Passphrase, Failure> {
    let none = |_| {
        Failure::usage("passphrase-needed", "a passphrase is needed, and there is no terminal to ask on")
            .hint("give --passphrase-file FILE or --passphrase-fd N")
    };
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let tty = rustix::fs::open("/dev/tty", flags, rustix::fs::Mode::empty()).map_err(none)?;
    let mut tty = File::from(tty);
    let before = tcgetattr(&tty).map_err(none)?;
    let mut quiet = before.clone();
    // Without signals from the keyboard: a Ctrl-C must not leave the terminal silent.
    quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    let _ = write!(tty, "{}", text::escaped(prompt));
    tcsetattr(&tty, OptionalActions::Flush, &quiet).map_err(none)?;
    let line = read_line(&mut tty);
    let _ = tcsetattr(&tty, OptionalActions::Flush, &before);
    let _ = writeln!(tty);
    match line {
        Some(line) if !line.is_empty() => Ok(Passphrase::new(line)),
        _ => Err(Failure::no("declined", "no passphrase was given").hint("nothing was changed")),
    }
}

/// What is typed up to Enter; nothing on Ctrl-C or Ctrl-D.
fn read_line(tty: &mut File) -> Option<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE.bytes as usize));
    let mut byte = [0];
    while (line.len() as u64) < PASSPHRASE.bytes {
        tty.read_exact(&mut byte).ok()?;
        match byte[0] {
            b'\n' | b'\r' => break,
            // Ctrl-C, Ctrl-D
            3 | 4 => return None,
            // Backspace, Delete
            8 | 127 => drop(line.pop()),
            // Ctrl-U
            21 => line.clear(),
            other => line.push(other),
        }
    }
    Some(line)
}

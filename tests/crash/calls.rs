//! The system calls of a run, read from strace's log.

use std::collections::HashMap;
use std::path::PathBuf;

/// What is traced: everything that changes a file, and what is needed to know which file.
pub(crate) const TRACED: &str = "open,openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,\
    rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir,mkdirat,rmdir,chmod,fchmod,fchmodat,\
    ?fchmodat2,chown,fchown,fchownat,lchown,ftruncate,truncate,copy_file_range,sendfile,fallocate";

/// A call that returned.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Its name.
    pub(crate) name: String,
    /// Its arguments, as strace prints them.
    pub(crate) args: Vec<String>,
    /// What it returned; negative for an error.
    pub(crate) result: i64,
    /// What follows the result: a descriptor's path.
    pub(crate) result_path: Option<PathBuf>,
    /// Whether the first thread of the tool made it, which is the one that faults are injected into.
    pub(crate) is_main: bool,
    /// Which of its kind it is in its thread, from 1.
    pub(crate) nth: usize,
}

impl Call {
    /// Whether it changes something or makes it durable: a point at which a run may end.
    pub(crate) fn is_change(&self) -> bool {
        !self.name.starts_with("open") || self.args.iter().any(|arg| arg.contains("O_CREAT"))
    }

    /// Whether it changes what a directory holds.
    pub(crate) fn is_rename(&self) -> bool {
        ["rename", "link", "unlink", "mkdir", "rmdir"].iter().any(|kind| self.name.starts_with(kind))
    }

    /// The path in angle brackets after a descriptor.
    pub(crate) fn fd_path(&self, at: usize) -> Option<PathBuf> {
        bracketed(self.args.get(at)?)
    }

    /// The descriptor's number.
    pub(crate) fn fd(&self, at: usize) -> Option<i64> {
        self.args.get(at)?.split('<').next()?.parse().ok()
    }

    /// A quoted argument's bytes.
    pub(crate) fn bytes(&self, at: usize) -> Vec<u8> {
        decode(self.args[at].trim_matches('"'))
    }

    /// A quoted argument as a path.
    pub(crate) fn path(&self, at: usize) -> PathBuf {
        String::from_utf8(self.bytes(at)).unwrap().into()
    }
}

/// Reads the log of `strace -f -y -xx`.
pub(crate) fn parse(log: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, String> = HashMap::new();
    let mut counts: HashMap<(String, String), usize> = HashMap::new();
    let main = log.split_ascii_whitespace().next().unwrap_or_default();
    for line in log.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let whole = if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid, start.trim_end().to_owned());
            continue;
        } else if rest.starts_with("<... ") {
            let Some(start) = unfinished.remove(pid) else { continue };
            let Some((_, end)) = rest.split_once(" resumed>") else { continue };
            format!("{start}{end}")
        } else {
            rest.to_owned()
        };
        let Some((name, rest)) = whole.split_once('(') else { continue };
        // Before a result there may be any number of blanks.
        let Some((args, result)) = rest.rsplit_once(" = ") else { continue };
        let Some(args) = args.trim_end().strip_suffix(')') else { continue };
        let nth = counts.entry((pid.to_owned(), name.to_owned())).or_default();
        *nth += 1;
        calls.push(Call {
            name: name.to_owned(),
            args: split(args.trim_end()),
            result: result.split([' ', '<']).next().and_then(|text| text.parse().ok()).unwrap_or(-1),
            result_path: bracketed(result),
            is_main: pid == main,
            nth: *nth,
        });
    }
    calls
}

/// Splits at the commas that are in no brackets. With `-xx` no text holds any.
fn split(args: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut depth = 0_usize;
    for c in args.chars() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        all.last_mut().expect("there is one from the start").push(c);
    }
    all.into_iter().map(|arg| arg.trim().to_owned()).collect()
}

fn bracketed(text: &str) -> Option<PathBuf> {
    let (_, rest) = text.split_once('<')?;
    let path = decode(rest.rsplit_once('>')?.0);
    Some(String::from_utf8(path).ok()?.into())
}

/// What `-xx` has encoded.
fn decode(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|hex| u8::from_str_radix(&hex[..2], 16).unwrap()).collect()
}

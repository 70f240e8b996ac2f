//! Reading and placing files, running commands and dialling there, by scripts of ours.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::super::{Connection as Client, Host, HostError, Placement, RunOutput, Stream};
use super::connection::lock as locked;
use super::error::{excerpt, telling};
use super::lock::{Held, Refused};
use super::{Guard, PATIENCE, Refusal, STATE_DIR, Ssh, clients, scripts};
use crate::files::{FileImage, FileKind, FileMode, FileStat, Meta, Owner};
use crate::host::limits;

impl Host for Ssh {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, path: &Path) -> Result<Option<FileImage>, HostError> {
        Ok(self.read_many(&[path.to_owned()])?.pop().flatten())
    }

    fn read_many(&self, paths: &[PathBuf]) -> Result<Vec<Option<FileImage>>, HostError> {
        let Some(first) = paths.first() else { return Ok(Vec::new()) };
        let words = paths.iter().map(|path| self.text(path)).collect::<Result<Vec<_>, _>>()?;
        let limit = limits::FILE.to_string();
        let words = [&[limit.as_str()], &words[..]].concat();
        let output = self.script(scripts::READ, &words, b"").map_err(self.on_file("read", first))?;
        let mut rest = output.as_slice();
        paths.iter().map(|path| self.image(path, &mut rest)).collect()
    }

    fn stat(&self, path: &Path) -> Result<Option<FileStat>, HostError> {
        let wrong = self.on_file("look at", path);
        let output = self.script(scripts::STAT, &[self.text(path)?], b"").map_err(&wrong)?;
        let text = String::from_utf8_lossy(&output);
        if text.trim_end() == "absent" {
            return Ok(None);
        }
        let mut words = text.split_ascii_whitespace();
        let mode = words.next().and_then(|mode| u32::from_str_radix(mode, 16).ok());
        let mut number = || words.next()?.parse::<u64>().ok();
        let (Some(mode), Some(uid), Some(gid)) = (mode, number(), number()) else {
            return Err(wrong(Refusal::Said(format!("odd answer {:?}", excerpt(&text)))));
        };
        Ok(Some(FileStat {
            kind: FileKind::of_mode(mode),
            mode: FileMode::new(mode),
            owner: self.owner_of(uid, gid)?,
        }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, HostError> {
        let output =
            self.script(scripts::LIST, &[self.text(dir)?], b"").map_err(self.on_file("list", dir))?;
        let text = String::from_utf8_lossy(&output);
        let mut names: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    fn make_dir(&self, path: &Path, meta: Meta) -> Result<bool, HostError> {
        let (mode, owner) = meta_words(meta);
        let text = self.text(path)?;
        let text = if text.len() > 1 { text.trim_end_matches('/') } else { text };
        let output = self
            .script(scripts::MAKE_DIR, &[text, &mode, &owner], b"")
            .map_err(self.on_file("create directory", path))?;
        Ok(output == b"made\n")
    }

    fn place(&self, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), HostError> {
        self.place_all(&[Placement { path, bytes, meta }])
    }

    fn place_all(&self, files: &[Placement<'_>]) -> Result<(), HostError> {
        let Some(first) = files.first() else { return Ok(()) };
        let mut words = Vec::with_capacity(4 * files.len());
        let mut input = Zeroizing::new(Vec::with_capacity(files.iter().map(|file| file.bytes.len()).sum()));
        for file in files {
            let (mode, owner) = meta_words(file.meta);
            words.extend([self.text(file.path)?.to_owned(), mode, owner, file.bytes.len().to_string()]);
            input.extend_from_slice(file.bytes);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let wrong = |refusal: Refusal| {
            // What it was at, and with which of them, is the last that the script says.
            let (mut action, mut at, mut refusal) = ("write", first.path, refusal);
            if let Refusal::Said(said) = &mut refusal {
                for (word, then) in [("stage", "write"), ("move", "rename into")] {
                    let named =
                        |file: &&Placement<'_>| said.ends_with(&format!(" ({word} {})", file.path.display()));
                    if let Some(file) = files.iter().find(named) {
                        let words = said.len() - format!(" ({word} {})", file.path.display()).len();
                        said.truncate(words);
                        (action, at) = (then, file.path);
                        break;
                    }
                }
            }
            self.on_file(action, at)(refusal)
        };
        self.script(scripts::PLACE, &words, &input).map_err(wrong).map(drop)
    }

    fn set_meta(&self, path: &Path, meta: Meta) -> Result<(), HostError> {
        let (mode, owner) = meta_words(meta);
        let text = self.text(path)?;
        self.script(scripts::SET_META, &[text, &mode, &owner], b"")
            .map_err(self.on_file("set the mode of", path))
            .map(drop)
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.remove_all(&[path.to_owned()])
    }

    fn remove_all(&self, paths: &[PathBuf]) -> Result<(), HostError> {
        let Some(first) = paths.first() else { return Ok(()) };
        let words = paths.iter().map(|path| self.text(path)).collect::<Result<Vec<_>, _>>()?;
        self.script(scripts::REMOVE, &words, b"").map_err(self.on_file("remove", first)).map(drop)
    }

    fn run(&self, argv: &[&str], deadline: Duration) -> Result<RunOutput, HostError> {
        let Some(program) = argv.first() else {
            return Err(self.command_error("", "an empty command"));
        };
        // A command that hangs there is ended there, and not only forgotten here.
        let seconds = format!("{:.3}", deadline.as_secs_f64());
        let words = [&["timeout", "-k", "2", &seconds], argv].concat();
        let started = Instant::now();
        let output = self.shared.connection()?.run(&words, b"", deadline + Duration::from_secs(5))?;
        match output.status {
            // What coreutils' timeout ends with.
            Some(124 | 137) if started.elapsed() >= deadline => {
                Err(self.command_error(program, format!("did not end within {deadline:?} and was killed")))
            }
            Some(127) => Err(self.command_error(program, telling(&String::from_utf8_lossy(&output.stderr)))),
            _ => Ok(output),
        }
    }

    fn dial(&self, address: SocketAddr, timeout: Duration) -> Result<Box<dyn Stream>, HostError> {
        if self.dials_by_shell() {
            return self.by_shell(&*self.shared.connection()?, address, timeout);
        }
        self.forward(address, timeout)
    }

    fn clock(&self) -> Result<SystemTime, HostError> {
        let output = self.run(&["date", "+%s.%N"], PATIENCE)?;
        let text = String::from_utf8_lossy(&output.stdout);
        // Where date knows no nanoseconds (busybox), the whole seconds are enough.
        let (seconds, nanos) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
        let seconds =
            seconds.parse().map_err(|_| self.command_error("date", format!("said {:?}", excerpt(&text))))?;
        Ok(UNIX_EPOCH + Duration::new(seconds, nanos.parse().unwrap_or(0)))
    }

    fn connections(&self, ports: &[u16]) -> Result<Vec<Client>, HostError> {
        let output = self.script(scripts::CONNECTIONS, &[], b"").map_err(|refusal| match refusal {
            Refusal::Ssh(error) => error.into(),
            Refusal::Said(said) => self.command_error("reading /proc/net/tcp", said),
        })?;
        Ok(clients::parse(&String::from_utf8_lossy(&output), ports))
    }

    fn owner(&self, spec: &str) -> Result<Owner, HostError> {
        let (user, group) = spec.split_once(':').unwrap_or((spec, ""));
        let none = |name: &str| HostError::NoSuchUser { host: self.name.clone(), name: name.to_owned() };
        if let (Ok(uid), Ok(gid)) = (user.parse(), group.parse()) {
            return Ok(Owner { uid, gid });
        }
        if user.is_empty()
            || user.starts_with('-')
            || group.starts_with('-')
            || group.contains(['\n', '*', '[', '.', '^', '\\', '$'])
        {
            return Err(none(user));
        }
        let output = self.script(scripts::OWNER, &[user, group], b"").map_err(|refusal| match refusal {
            Refusal::Ssh(error) => HostError::from(error),
            Refusal::Said(said) => self.command_error("id", said),
        })?;
        let text = String::from_utf8_lossy(&output);
        let mut lines = text.lines();
        let mut own = lines.next().unwrap_or("").split(' ').map(|number| number.parse::<u32>().ok());
        let uid = own.next().flatten().or_else(|| user.parse().ok().filter(|_| !group.is_empty()));
        let own_gid = own.next().flatten();
        let gid = match group {
            "" => own_gid,
            group => group.parse().ok().or_else(|| lines.next()?.parse().ok()),
        };
        match (uid, gid) {
            (Some(uid), Some(gid)) => Ok(Owner { uid, gid }),
            (Some(_), None) if !group.is_empty() => Err(none(group)),
            _ => Err(none(user)),
        }
    }

    fn loopback(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn state_dir(&self) -> PathBuf {
        STATE_DIR.into()
    }

    fn lock(&self, who: &str) -> Result<Box<dyn Send>, HostError> {
        let connection = self.shared.connection()?;
        match Held::take(&connection, STATE_DIR, &excerpt(who)) {
            Ok(held) => {
                locked(&self.shared.state).held = Some((held, excerpt(who)));
                Ok(Box::new(Guard(Arc::downgrade(&self.shared))))
            }
            Err(Refused::Held(holder)) => Err(HostError::Locked { host: self.name.clone(), holder }),
            Err(Refused::Trouble(what)) => Err(self.command_error("flock", what)),
            Err(Refused::NoAnswer(kind, said)) => Err(self.shared.route.error(kind, said).into()),
        }
    }
}

impl Ssh {
    /// The next file of what [`scripts::READ`] prints.
    fn image(&self, path: &Path, rest: &mut &[u8]) -> Result<Option<FileImage>, HostError> {
        let wrong = |what: String| self.on_file("read", path)(Refusal::Said(what));
        let end =
            rest.iter().position(|&b| b == b'\n').ok_or_else(|| wrong("its answer is cut off".to_owned()))?;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        *rest = &rest[end + 1..];
        if head == "absent" {
            return Ok(None);
        }
        let odd = || wrong(format!("odd answer {:?}", excerpt(&head)));
        let mut words = head.split(' ');
        let mode = words.next().and_then(|mode| u32::from_str_radix(mode, 16).ok()).ok_or_else(odd)?;
        if FileKind::of_mode(mode) != FileKind::File {
            return Err(self.not_regular(path, FileKind::of_mode(mode)));
        }
        let mut number = || words.next()?.parse::<u64>().ok();
        let (Some(uid), Some(gid), Some(size)) = (number(), number(), number()) else { return Err(odd()) };
        let bytes = usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size));
        let Some((bytes, behind)) = bytes else {
            return Err(wrong("it changed while it was read".to_owned()));
        };
        *rest = behind;
        let owner = self.owner_of(uid, gid)?;
        Ok(Some(FileImage { bytes: bytes.to_vec(), mode: FileMode::new(mode), owner }))
    }

    fn owner_of(&self, uid: u64, gid: u64) -> Result<Owner, HostError> {
        match (uid.try_into(), gid.try_into()) {
            (Ok(uid), Ok(gid)) => Ok(Owner { uid, gid }),
            _ => Err(self.command_error("stat", "an owner's number is out of range")),
        }
    }
}

/// Mode and owner as words; no owner is empty.
fn meta_words(meta: Meta) -> (String, String) {
    let owner = meta.owner.map_or_else(String::new, |owner| format!("{}:{}", owner.uid, owner.gid));
    // Five digits: with fewer, GNU chmod leaves a directory's set-group-ID bit as it is.
    (format!("{:05o}", meta.mode.bits()), owner)
}

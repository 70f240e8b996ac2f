//! Files as a process of the machine meets them: every directory on the way, symlinks and containers included, and
//! whether a user may read what stands at the end.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Host, HostError};
use crate::files::{FileKind, FileMode, FileStat, Owner};

/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever reads: a user with his groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// How people call it.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its groups, its own first.
    pub groups: Vec<u32>,
    /// No mode stops it: root, unless its capabilities were taken away.
    pub unstoppable: bool,
}

/// What is done with a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Walk through a directory.
    Enter,
    /// Read a file.
    Read,
}

impl Reader {
    /// A user by number, with its own group alone.
    pub fn of(owner: Owner) -> Self {
        let groups = vec![owner.gid];
        Self { name: owner.uid.to_string(), uid: owner.uid, groups, unstoppable: owner.uid == 0 }
    }

    /// A user of the machine by name or number, with all groups.
    ///
    /// # Errors
    /// [`HostError::NoSuchUser`]
    pub fn named(host: &dyn Host, name: &str) -> Result<Self, HostError> {
        let mut reader = Self { name: name.to_owned(), ..Self::of(host.owner(name)?) };
        // Where `id` does not answer, its own group has to do.
        let user = name.split(':').next().unwrap_or(name);
        if let Ok(output) = host.run(&["id", "-G", "--", user], PATIENCE)
            && output.status == Some(0)
        {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            reader.groups.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        }
        Ok(reader)
    }

    /// What `/proc/PID/status` says of a process.
    fn of_status(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.split_ascii_whitespace().collect::<Vec<_>>())
        };
        // Real, effective, saved, and that of the file system.
        let last = |name: &str| field(name)?.get(3)?.parse::<u32>().ok();
        let (uid, gid) = (last("Uid")?, last("Gid")?);
        let mut groups = vec![gid];
        groups.extend(field("Groups")?.iter().filter_map(|word| word.parse::<u32>().ok()));
        let capabilities = field("CapEff")?.first().and_then(|hex| u64::from_str_radix(hex, 16).ok())?;
        // CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, capability(7).
        Some(Self { name: uid.to_string(), uid, groups, unstoppable: capabilities & 0b110 != 0 })
    }

    /// Whether the mode bits let it (access control lists are not looked at).
    pub fn may(&self, stat: FileStat, access: Access) -> bool {
        let bits = stat.mode.bits();
        let class = match () {
            () if self.unstoppable => return true,
            () if self.uid == stat.owner.uid => 6,
            () if self.groups.contains(&stat.owner.gid) => 3,
            () => 0,
        };
        let bit = if access == Access::Enter { 1 } else { 4 };
        bits >> class & bit != 0
    }

    /// What on the way keeps it from reading a file that is there; `None` when it may.
    pub fn obstacle<'w>(&self, walk: &'w Walk) -> Option<&'w Step> {
        walk.steps.iter().find(|step| {
            let access = if step.stat.kind == FileKind::Directory { Access::Enter } else { Access::Read };
            !self.may(step.stat, access)
        })
    }
}

/// A path as it was walked.
#[derive(Debug, Clone)]
pub struct Walk {
    /// As it was given.
    pub path: String,
    /// Every directory on the way from the root on, those behind symlinks included, and the file last.
    pub steps: Vec<Step>,
    /// What stands at the end.
    pub end: End,
}

/// A directory or file on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its path, without symlinks.
    pub path: String,
    /// What it is.
    pub stat: FileStat,
    /// When its content changed last, in seconds since 1970.
    pub modified: u64,
}

/// What stands at the end of a way.
#[derive(Clone)]
pub enum End {
    /// A file, with its content.
    File(Zeroizing<Vec<u8>>),
    /// Nothing: this path is not there.
    Absent(String),
    /// Something that cannot be looked at, and why.
    Wrong(String),
}

// The content may be a key.
impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(bytes) => write!(f, "File({} bytes)", bytes.len()),
            Self::Absent(path) => f.debug_tuple("Absent").field(path).finish(),
            Self::Wrong(what) => f.debug_tuple("Wrong").field(what).finish(),
        }
    }
}

impl Walk {
    /// The content, where there is a file that could be read.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.end {
            End::File(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The file itself, where it was reached.
    pub fn file(&self) -> Option<&Step> {
        self.steps.last().filter(|step| step.stat.kind == FileKind::File)
    }
}

/// What a process sees, and as whom.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Whom the process runs as; `None` without a process.
    pub reader: Option<Reader>,
    /// Since when it runs, in seconds since 1970.
    pub since: Option<u64>,
    /// The paths, in the order in which they were asked for.
    pub walks: Vec<Walk>,
}

/// What varies is an argument: PID (or nothing), then the paths. Records end in a zero byte: `status TEXT`,
/// `since SECONDS`, and per path `path PATH`, `step MODE UID GID MTIME PATH` (the mode raw, in hexadecimal) and `file
/// BASE64`, `absent PATH` or `wrong WHY`. A process in another mount namespace is followed there; symlinks are resolved
/// step by step, since the kernel would take an absolute one from our root.
const SCRIPT: &str = r#"
export LC_ALL=C
pid=$1 root= cwd=
shift
if [ -n "$pid" ]; then
    printf 'status %s\0' "$(cat "/proc/$pid/status")"
    printf 'since %s\0' "$(stat -c %Y "/proc/$pid")"
    cwd=$(readlink "/proc/$pid/cwd")
    own=$(readlink /proc/self/ns/mnt) other=$(readlink "/proc/$pid/ns/mnt") top=$(readlink "/proc/$pid/root")
    if [ -n "$other" ] && { [ "$own" != "$other" ] || [ "$top" != / ]; }; then root=/proc/$pid/root; fi
fi
for path do
    printf 'path %s\0' "$path"
    case $path in /*) rest=$path ;; *) rest=$cwd/$path ;; esac
    at= hops=0 why=
    seen=$(stat -c '%f %u %g %Y' -- "$root/" 2>&1) || { printf 'wrong %s\0' "$seen"; continue; }
    printf 'step %s /\0' "$seen"
    while :; do
        rest=${rest#"${rest%%[!/]*}"}
        [ -n "$rest" ] || break
        case $rest in */*) name=${rest%%/*} rest=${rest#*/} ;; *) name=$rest rest= ;; esac
        case $name in .) continue ;; ..) at=${at%/*}; continue ;; esac
        if [ -L "$root$at/$name" ]; then
            hops=$((hops + 1))
            if [ "$hops" -gt 40 ]; then why='wrong too many symlinks'; break; fi
            to=$(readlink -- "$root$at/$name")
            case $to in /*) at= ;; esac
            rest=$to/$rest
            continue
        fi
        at=$at/$name
        seen=$(stat -c '%f %u %g %Y' -- "$root$at" 2>&1) || case $seen in
            *'No such file or directory'*) why="absent $at"; break ;;
            *) why="wrong $seen"; break ;;
        esac
        printf 'step %s %s\0' "$seen" "$at"
    done
    case $why,$seen in
        ,8*) ;;
        ,*) why='wrong it is no regular file' ;;
    esac
    if [ -z "$why" ] && [ "$(stat -c %s -- "$root$at")" -gt 4194304 ]; then why='wrong it is too large'; fi
    if [ -z "$why" ]; then
        if text=$(base64 -w0 <"$root$at" 2>&1); then why="file $text"; else why="wrong $text"; fi
    fi
    printf '%s\0' "$why"
done
"#;

/// Walks to files as a process of the machine does, or as the machine itself does without one.
///
/// # Errors
/// [`HostError`]
pub fn walk(host: &dyn Host, pid: Option<u32>, paths: &[&str]) -> Result<Sight, HostError> {
    let pid = pid.map_or_else(String::new, |pid| pid.to_string());
    let argv = [&["sh", "-c", SCRIPT, "sh", &pid], paths].concat();
    let output = host.run(&argv, PATIENCE)?;
    let text = Zeroizing::new(String::from_utf8_lossy(&output.stdout).into_owned());
    let _ = Zeroizing::new(output.stdout);
    let sight = parse(&text);
    if output.status == Some(0) && sight.walks.len() == paths.len() {
        return Ok(sight);
    }
    Err(HostError::Command {
        host: host.name().to_owned(),
        command: "looking at etcd's files".to_owned(),
        what: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn parse(text: &str) -> Sight {
    let mut sight = Sight { reader: None, since: None, walks: Vec::new() };
    for record in text.split_terminator('\0') {
        let (kind, rest) = record.split_once(' ').unwrap_or((record, ""));
        match (kind, sight.walks.last_mut()) {
            ("status", _) => sight.reader = Reader::of_status(rest),
            ("since", _) => sight.since = rest.parse().ok(),
            ("path", _) => {
                let end = End::Wrong("it was not looked at".to_owned());
                sight.walks.push(Walk { path: rest.to_owned(), steps: Vec::new(), end });
            }
            ("step", Some(walk)) => walk.steps.extend(step(rest)),
            ("file", Some(walk)) => {
                walk.end = match STANDARD.decode(rest) {
                    Ok(bytes) => End::File(Zeroizing::new(bytes)),
                    Err(_) => End::Wrong("it came over garbled".to_owned()),
                };
            }
            ("absent", Some(walk)) => walk.end = End::Absent(rest.to_owned()),
            ("wrong", Some(walk)) => walk.end = End::Wrong(rest.to_owned()),
            _ => {}
        }
    }
    sight
}

fn step(text: &str) -> Option<Step> {
    let mut words = text.splitn(5, ' ');
    let mode = u32::from_str_radix(words.next()?, 16).ok()?;
    let mut number = || words.next()?.parse::<u64>().ok();
    let (uid, gid, modified) = (number()?, number()?, number()?);
    let owner = Owner { uid: uid.try_into().ok()?, gid: gid.try_into().ok()? };
    let stat = FileStat { kind: FileKind::of_mode(mode), mode: FileMode::new(mode), owner };
    Some(Step { path: words.next()?.to_owned(), stat, modified })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::local::Local;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_a_process_says_of_itself() {
        let status = |caps: &str| {
            format!("Name:\tetcd\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t9 10 \nCapEff:\t{caps}\n")
        };
        let reader = Reader::of_status(&status("0000000000000000")).unwrap();
        assert_eq!((reader.uid, reader.groups, reader.unstoppable), (7, vec![8, 9, 10], false));
        assert!(Reader::of_status(&status("000001ffffffffff")).unwrap().unstoppable);
        assert!(Reader::of_status("Uid:\n").is_none());
    }

    #[test]
    fn every_directory_on_the_way_counts_behind_symlinks_too() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let at = |name: &str| dir.join(name);
        let mode = |name: &str, bits| {
            crate::files::set_meta(&at(name), crate::files::Meta::mode(FileMode::new(bits))).unwrap();
        };
        for name in ["open", "open/closed", "live"] {
            std::fs::DirBuilder::new().create(at(name)).unwrap();
        }
        let put = |path: &str, bytes: &[u8]| {
            crate::files::replace(&at(path), bytes, crate::files::Meta::mode(FileMode::PUBLIC)).unwrap();
        };
        put("open/closed/key.pem", b"key\0\n");
        put("live/key.pem", b"");
        symlink("../open/closed/key.pem", at("live/link.pem")).unwrap();
        symlink(at("live/loop"), at("live/loop")).unwrap();
        mode("", 0o755);
        mode("open", 0o755);
        mode("open/closed", 0o700);
        mode("live", 0o755);

        let paths: Vec<String> =
            ["live/link.pem", "live/none.pem", "live/loop", "live", "live/../live//./key.pem"]
                .map(|name| at(name).display().to_string())
                .into();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let sight = walk(&Local::new(), Some(std::process::id()), &paths).unwrap();
        assert!(sight.since.is_some());
        assert_eq!(sight.reader.unwrap().uid, rustix::process::getuid().as_raw());
        let [link, none, around, dir_itself, plain] = &sight.walks[..] else { panic!("{:?}", sight.walks) };
        assert_eq!(link.bytes(), Some(&b"key\0\n"[..]));
        assert_eq!(link.file().unwrap().path, at("open/closed/key.pem").display().to_string());
        assert!(matches!(&none.end, End::Absent(path) if path.ends_with("/none.pem")), "{none:?}");
        assert!(matches!(&around.end, End::Wrong(why) if why.contains("symlinks")), "{around:?}");
        assert!(matches!(&dir_itself.end, End::Wrong(_)) && dir_itself.file().is_none());
        assert_eq!(plain.bytes(), Some(&b""[..]));

        let stranger = Reader::of(Owner { uid: 4_000_000, gid: 4_000_000 });
        // Whatever stands above the test's own directory may stop a stranger first.
        let stop = stranger.obstacle(link).unwrap();
        assert!(stop.path.ends_with("/open/closed") || at("").starts_with(&stop.path), "{stop:?}");
        assert!(Reader::of(Owner { uid: 0, gid: 0 }).obstacle(link).is_none());
        let root = Reader::named(&Local::new(), "root").unwrap();
        assert!(root.unstoppable && root.groups.contains(&0) && root.name == "root");
    }
}

//! One look at a unit on a host: what systemd says of it, its files, and the process, by one script in one go. Over ssh a
//! command costs more than all that it reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::show::Shown;
use super::unit::Fragment;
use crate::host::{Launch, RunningProcess, proc};

/// What [`UNIT`] and [`PROCESS`] begin with: `field KIND VALUE` prints one, `property NAME` leaves what systemd says in
/// `value`, `process` prints the etcd among the unit's processes: the main process, or one below it.
const COMMON: &str = r#"
export LC_ALL=C
field() { printf '%s\0%s\0' "$1" "$2"; }
property() {
    value=
    case $shown in
        *"
$1="*) value=${shown#*"
$1="}; value=${value%%"
"*} ;;
    esac
}
process() {
    property MainPID; pids=$value
    property ControlGroup; group=$value
    for root in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ -n "$group" ] && [ -d "$root$group" ] &&
            pids="$pids $(find "$root$group" -name cgroup.procs -exec cat {} + 2>/dev/null)"
    done
    for pid in $pids; do
        exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || continue
        # An upgrade of the file leaves its old name with this behind it.
        exe=${exe% (deleted)}
        case ${exe##*/} in etcd|etcd2|etcd[-._0-9]*) ;; *) continue ;; esac
        cmdline=$(base64 -w0 "/proc/$pid/cmdline") && environ=$(base64 -w0 "/proc/$pid/environ") || continue
        # One that is being replaced by another program, or ends, has no command line.
        [ -n "$cmdline" ] || continue
        status=$(cat "/proc/$pid/status") || continue
        field pid "$pid"; field cmdline "$cmdline"; field environ "$environ"; field status "$status"
        return
    done
}
id=$1
shift
shown=$(systemctl show --no-pager -p "$1" -- "$id") || exit 9
shift
shown="
$shown"
field shown "$shown"
"#;

/// ID PROPERTIES FILE … `--` DIRECTORY …: the unit, the first of the files that is there (or the one systemd names), the
/// drop-ins in the directories, the process.
const UNIT: &str = r#"
file() { field path "$2"; printf '%s\0' "$1"; cat <"$2" || exit 9; printf '\0'; }
unit=
for name do
    shift
    [ "$name" = -- ] && break
    if [ -z "$unit" ] && [ -e "$name" ]; then unit=$name; fi
done
if [ -z "$unit" ]; then property FragmentPath; unit=$value; fi
if [ -n "$unit" ] && [ -e "$unit" ]; then file unit "$unit"; fi
for dir do
    for name in "$dir"/*.conf; do
        if [ -e "$name" ]; then file dropin "$name"; fi
    done
done
process
exit 0
"#;

/// ID PROPERTIES: the process alone.
const PROCESS: &str = r#"
process
exit 0
"#;

/// The script that looks at the whole unit: ID PROPERTIES FILE … `--` DIRECTORY ….
pub(super) fn unit_script() -> String {
    [COMMON, UNIT].concat()
}

/// The script that looks at the process: ID PROPERTIES.
pub(super) fn process_script() -> String {
    [COMMON, PROCESS].concat()
}

/// What a script printed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) shown: Shown,
    /// The unit file.
    pub(super) unit: Option<Fragment>,
    /// The drop-ins, in the directories' order.
    pub(super) dropins: Vec<Fragment>,
    pub(super) process: Option<RunningProcess>,
}

impl Seen {
    /// Reads what a script printed; `Err` says what is odd about it.
    pub(super) fn parse(output: &[u8]) -> Result<Self, &'static str> {
        let text = String::from_utf8_lossy(output);
        let parts: Vec<&str> = text.split_terminator('\0').collect();
        if !parts.len().is_multiple_of(2) {
            return Err("a unit file holds a zero byte");
        }
        let mut seen = Self::default();
        let mut path = "";
        let (mut pid, mut cmdline, mut environ) = (None, None, None);
        let decode = |text: &str| STANDARD.decode(text).ok();
        for pair in parts.chunks_exact(2) {
            match pair[0] {
                "shown" => seen.shown = Shown::parse(pair[1]),
                "path" => path = pair[1],
                "unit" => seen.unit = Some(Fragment::new(path, pair[1])),
                "dropin" => seen.dropins.push(Fragment::new(path, pair[1])),
                "pid" => pid = pair[1].parse().ok(),
                "cmdline" => cmdline = decode(pair[1]),
                "environ" => environ = decode(pair[1]),
                "status" => {
                    let (Some(pid), Some(cmdline), Some(environ), Some(uid)) =
                        (pid, cmdline.take(), environ.take(), proc::parse_uid(pair[1]))
                    else {
                        return Err("its process is not as /proc shows processes");
                    };
                    let launch =
                        Launch { argv: proc::parse_cmdline(&cmdline), env: proc::parse_environ(&environ) };
                    let identity = format!("{}/{pid}", seen.shown.invocation_id);
                    seen.process = Some(RunningProcess { identity, pid, launch, uid });
                }
                _ => return Err("a unit file holds a zero byte"),
            }
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_read_field_by_field() {
        let text = "shown\0Id=etcd.service\nInvocationID=abc\nMainPID=7\n\0path\0/u/etcd.service\0unit\0[Service]\n\0\
                    path\0/u/etcd.service.d/30.conf\0dropin\0\0pid\x008\0cmdline\0ZXRjZAAtLXg9MQA=\0\
                    environ\0QT0xAA==\0status\0Name:\tetcd\nUid:\t104\t104\t104\t104\n\0";
        let seen = Seen::parse(text.as_bytes()).unwrap();
        assert_eq!(seen.unit, Some(Fragment::new("/u/etcd.service", "[Service]\n")));
        assert_eq!(seen.dropins, [Fragment::new("/u/etcd.service.d/30.conf", "")]);
        let process = seen.process.unwrap();
        assert_eq!((process.identity.as_str(), process.uid), ("abc/8", 104));
        assert_eq!(process.launch.argv, ["etcd", "--x=1"]);
    }

    #[test]
    fn what_is_cut_off_or_holds_zero_bytes_is_no_look() {
        for text in ["shown\0", "path\0/u\0unit\0a\0b\0\0", "status\0Uid:\t0\t0\t0\t0\n\0"] {
            assert!(Seen::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}

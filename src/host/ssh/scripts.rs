//! What is run on a host: a POSIX shell and coreutils is all that is asked for (the lock needs util-linux' `flock`).
//!
//! Each is run as `sh -c SCRIPT sh ARGUMENT…`: what varies is an argument or comes by standard input, never part of the
//! script. Content, and with it keys, comes by standard input only.

/// How many seconds the lock's holder waits to hear from us.
pub(super) const LOCK_SILENCE: u32 = 30;

/// FILE …: for each `absent`, or `MODE UID GID SIZE` (the mode raw, in hexadecimal) and the content, so many bytes;
/// of what is no file only the mode. A symlink is not followed. The first that cannot be read ends it.
pub(super) const READ: &str = r#"
export LC_ALL=C
for file do
    seen=$(stat -c '%f' -- "$file" 2>&1) || case $seen in
        *'No such file or directory'*) echo absent; continue ;;
        *) printf '%s\n' "$seen" >&2; exit 1 ;;
    esac
    case $seen in 8???) ;; *) echo "$seen"; continue ;; esac
    exec 3<"$file" || exit 1
    seen=$(stat -L -c '%f %u %g %s' -- "/proc/$$/fd/3") || exit 1
    echo "$seen"
    head -c "${seen##* }" <&3 || exit 1
    exec 3<&-
done
exit 0
"#;

/// `absent`, or `MODE UID GID`.
pub(super) const STAT: &str = r#"
export LC_ALL=C
seen=$(stat -c '%f %u %g' -- "$1" 2>&1) && { echo "$seen"; exit 0; }
case $seen in
    *'No such file or directory'*) echo absent ;;
    *) printf '%s\n' "$seen" >&2; exit 1 ;;
esac
"#;

/// The names, each followed by a zero byte.
pub(super) const LIST: &str = r#"
[ -e "$1" ] || [ -L "$1" ] || exit 0
cd -- "$1" || exit 1
for name in * .[!.]* ..?*; do
    if [ -e "$name" ] || [ -L "$name" ]; then printf '%s\0' "$name"; fi
done
"#;

/// DIRECTORY MODE OWNER: makes it and its missing parents, each with mode and owner; `made` when it was not there.
pub(super) const MAKE_DIR: &str = r#"
make() {
    if [ -d "$1" ]; then return 1; fi
    case $1 in */*) parent=${1%/*} ;; *) parent=. ;; esac
    make "${parent:-/}" "$2" "$3"
    mkdir -m "$2" -- "$1" || exit 1
    if [ -n "$3" ]; then chown -h -- "$3" "$1" || exit 1; fi
    chmod -- "$2" "$1" && sync "$1" || exit 1
    case $1 in */*) parent=${1%/*} ;; *) parent=. ;; esac
    sync "${parent:-/}"
    return 0
}
umask 077
if make "$1" "$2" "$3"; then echo made; fi
exit 0
"#;

/// (FILE TEMPORARY MODE OWNER SIZE) …: writes standard input, so many bytes each, to each TEMPORARY beside its FILE, with
/// mode and owner before the content; then moves them all into their places in a row, and syncs the directories. What
/// is made is made by O_EXCL and reached through its descriptor only, so that nobody who may write to the directory can
/// put something else in its place; a connection that breaks leaves no half of a file, for it is counted.
pub(super) const PLACE: &str = r#"
umask 077
sweep() { while [ $# -ge 5 ]; do rm -f -- "$2"; shift 5; done; }
stage() {
    if [ -L "$1" ] || { [ -e "$1" ] && [ ! -f "$1" ]; }; then echo 'not a regular file' >&2; return 1; fi
    if [ -e "$2" ] || [ -L "$2" ]; then echo "$2 is in the way" >&2; return 1; fi
    set -C
    { exec 3>"$2"; } || return 1
    set +C
    self=/proc/$$/fd/3
    if [ -n "$4" ]; then chown -- "$4" "$self" || return 1; fi
    chmod -- "$3" "$self" || return 1
    head -c "$5" >&3 || return 1
    size=$(stat -L -c %s -- "$self") || return 1
    if [ "$size" != "$5" ]; then echo "$size of $5 bytes came" >&2; return 1; fi
    sync "$self" || return 1
    exec 3>&-
}
all() { while [ $# -ge 5 ]; do stage "$1" "$2" "$3" "$4" "$5" || { echo "($1)" >&2; return 1; }; shift 5; done; }
move() {
    while [ $# -ge 5 ]; do
        mv -fT -- "$2" "$1" || return 1
        dir=${1%/*}
        sync "${dir:-/}" || return 1
        shift 5
    done
}
trap 'sweep "$@"' EXIT
trap 'exit 1' HUP INT TERM PIPE
all "$@" && move "$@"
"#;

/// PATH MODE OWNER, a symlink refused.
pub(super) const SET_META: &str = r#"
if [ -L "$1" ]; then echo 'a symlink' >&2; exit 1; fi
if [ -n "$3" ]; then chown -h -- "$3" "$1" || exit 1; fi
chmod -- "$2" "$1" && sync "$1"
"#;

/// PATH …: removes files, durably, one after the other.
pub(super) const REMOVE: &str = r#"
for file do
    if [ ! -e "$file" ] && [ ! -L "$file" ]; then continue; fi
    rm -f -- "$file" || exit 1
    dir=${file%/*}
    sync "${dir:-/}" || exit 1
done
exit 0
"#;

/// Everything that [`super::clients`] needs: our own process, all processes, their sockets, the connections.
pub(super) const CONNECTIONS: &str = r#"
export LC_ALL=C
echo "self $$"
cat /proc/[0-9]*/stat 2>/dev/null
echo sockets
ls -l /proc/[0-9]*/fd 2>/dev/null | grep -e '^/proc/' -e 'socket:\['
echo tcp
cat /proc/net/tcp
cat /proc/net/tcp6 2>/dev/null
exit 0
"#;

/// USER GROUP: `UID GID` of the user, then `GID` of the group, each line empty when there is none.
pub(super) const OWNER: &str = r#"
export LC_ALL=C
if [ -n "$1" ]; then echo "$(id -u -- "$1" 2>/dev/null) $(id -g -- "$1" 2>/dev/null)"; else echo; fi
if [ -n "$2" ]; then (getent group "$2" || grep -e "^$2:" /etc/group) 2>/dev/null | cut -d : -f 3 | head -n 1; fi
exit 0
"#;

/// DIRECTORY WHO SILENCE: one that we hold ourselves, over a connection that broke, is waited for until it has not been
/// heard of for so long. Says `held`, or `by HOLDER`, or `no …`; holds on until it has not heard from us for so long.
pub(super) const LOCK: &str = r#"
umask 077
command -v flock >/dev/null 2>&1 || { echo 'no flock there: util-linux is missing'; exit 1; }
if [ ! -d "$1" ]; then mkdir -p -m 700 -- "$1" || { echo 'no directory can be made for it'; exit 1; }; fi
exec 9>>"$1/lock" || { echo 'no file can be made for it'; exit 1; }
if ! flock -w 4 9; then
    IFS= read -r holder <"$1/lock"
    if [ "$holder" != "$2" ] || ! flock -w "$(($3 + 5))" 9; then
        echo "by $holder"
        exit 1
    fi
fi
printf '%s\n' "$2" >"$1/lock"
echo "held here"
while [ -n "$(timeout "$3" head -c 1)" ]; do :; done
"#;

/// ADDRESS PORT: a connection by the shell itself, where the server forwards none. A `+` says that it stands.
pub(super) const DIAL: &str = r#"
export LC_ALL=C
if command -v bash >/dev/null 2>&1; then
    exec bash -c 'exec 3<>"/dev/tcp/$1/$2" || exit 1; printf +; cat <&3 & cat >&3; kill $! 2>/dev/null' bash "$1" "$2"
elif command -v nc >/dev/null 2>&1; then
    nc -z -w 5 -- "$1" "$2" >/dev/null 2>&1 || { echo 'Connection refused' >&2; exit 1; }
    printf +
    exec nc -- "$1" "$2"
else
    echo 'neither bash nor nc is there to dial with' >&2
    exit 127
fi
"#;

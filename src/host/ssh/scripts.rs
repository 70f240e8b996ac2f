//! What is run on a host: a POSIX shell and coreutils is all that is asked for (the lock needs util-linux' `flock`).
//!
//! Each is run as `sh -c SCRIPT sh ARGUMENT…`: what varies is an argument or comes by standard input, never part of the
//! script. Content, and with it keys, comes by standard input only.
//!
//! The scripts run as root in directories that etcd's user may own, and that user can exchange any name in them at any
//! moment, also between a check and the command after it. What changes something therefore never goes by a path:
//! `enter` makes the directory the working directory, and nothing that is renamed later can change which one that is.

/// What the scripts say where another user led, or could lead, them elsewhere.
pub(super) const UNTRUSTED: [&str; 2] = ["exchanged for something else", "in a directory of another user"];

/// `enter DIRECTORY [MODE OWNER]` makes DIRECTORY the working directory; with MODE, what is missing of it is made, each
/// with mode and owner, and `made` is set if the last one was.
///
/// It goes down one name at a time. A real directory's `..` is where we came from, a symlink's is not: a name that was
/// exchanged for a symlink between the look at it and `cd` is noticed after `cd`, when nobody can exchange anything any
/// more. Symlinks are followed only where nobody but root could have put them. A directory that was made is ours if it
/// belongs to root, is open to nobody else and empty: another user can rename directories of root in a directory of his
/// own, but not make one.
///
/// `here` is then the identity of the working directory, `owner` and `mode` are its own, and `safe` is set if root alone
/// can change the names in it; `parent_owner` and `parent_safe` are those of the directory above.
macro_rules! enter {
    () => {
        r#"
export LC_ALL=C
fail() { printf '%s\n' "$1" >&2; return 1; }
look() {
    set -- $(stat -c '%d:%i %u %a' . ..)
    [ $# = 6 ] || return 1
    here=$1 owner=$2 mode=$3 above=$4 safe=
    case $owner,$mode in 0,*[2367]?|0,*[2367]) ;; 0,*) safe=yes ;; esac
}
step() {
    from=$here parent_owner=$owner parent_safe=$safe
    if [ ! -e "./$1" ]; then fail "$1: No such file or directory"; return 1; fi
    cd -P -- "./$1" 2>/dev/null || { fail "$1: Not a directory"; return 1; }
    look || return 1
    [ "$above" = "$from" ] || fail "$1 was exchanged for something else meanwhile"
}
own() { case $owner,$mode in 0,700|0,2700) ;; *) fail "$1 was exchanged for something else meanwhile" ;; esac; }
create() {
    mkdir -m 700 -- "./$1" && step "$1" && own "$1" || return 1
    [ -z "$(ls -A .)" ] || { fail "$1 was exchanged for something else meanwhile"; return 1; }
}
enter() {
    path=$1/ hops=0 made=
    cd / && look || return 1
    while [ -n "$path" ]; do
        part=${path%%/*} path=${path#*/}
        case $part in ''|.) continue ;; ..) cd -P .. && look || return 1; continue ;; esac
        if [ -L "./$part" ]; then
            [ -n "$safe" ] || { fail "$part is a symlink in a directory of another user"; return 1; }
            hops=$((hops + 1))
            [ "$hops" -le 40 ] || { fail 'Too many levels of symbolic links'; return 1; }
            link=$(readlink -- "./$part") || return 1
            case $link in /*) cd / && look || return 1 ;; esac
            path=$link/$path
            continue
        fi
        made=
        if [ -n "$2" ] && [ ! -e "./$part" ]; then
            create "$part" || return 1
            if [ -n "$3" ]; then chown -- "$3" . || return 1; fi
            chmod -- "$2" . && sync . .. && look || return 1
            made=yes
            continue
        fi
        step "$part" || return 1
    done
}
"#
    };
}

/// `bench` makes a directory of ours in the working directory, or finds the one that we made there, and makes that the
/// working directory: nobody else can reach or exchange what is in it. `leave` removes it and goes back. `stale` removes
/// those of runs that are no more, which may hold keys: each is named after the process that made it.
macro_rules! bench {
    () => {
        r#"
umask 077
benches=
bench() {
    if [ ! -e "./.etcd-pki.$$.tmp" ]; then
        stale
        create ".etcd-pki.$$.tmp" || return 1
        benches="$benches $here"
        return 0
    fi
    step ".etcd-pki.$$.tmp" || return 1
    case "$benches " in *" $here "*) ;; *) fail '.etcd-pki.*.tmp was exchanged for something else meanwhile' ;; esac
}
leave() { rm -f -- ./placed-*.tmp && cd -P .. && rmdir -- "./$1"; }
stale() {
    for old in ./.etcd-pki.*.tmp; do
        old=${old#./} pid=${old#.etcd-pki.}
        pid=${pid%.tmp}
        case $pid in *[!0-9]*|'') continue ;; esac
        if ! grep -qs -e etcd-pki "/proc/$pid/cmdline"; then (step "$old" && own "$old" && leave "$old") 2>/dev/null; fi
    done
    return 0
}
"#
    };
}

/// How many seconds the lock's holder waits to hear from us.
pub(super) const LOCK_SILENCE: u32 = 30;

/// LIMIT FILE …: for each `absent`, or `MODE UID GID SIZE` (the mode raw, in hexadecimal) and the content, so many bytes;
/// of what is no file only the mode. A symlink is not followed: what was opened must be what the name stands for. The first
/// that cannot be read, or has more than LIMIT bytes, ends it.
pub(super) const READ: &str = r#"
export LC_ALL=C
limit=$1
shift
for file do
    seen=$(stat -c '%d:%i %f' -- "$file" 2>&1) || case $seen in
        *'No such file or directory'*) echo absent; continue ;;
        *) printf '%s\n' "$seen" >&2; exit 1 ;;
    esac
    case $seen in *' 8'???) ;; *) echo "${seen#* }"; continue ;; esac
    exec 3<"$file" || exit 1
    opened=$(stat -L -c '%d:%i %f %u %g %s' -- "/proc/$$/fd/3") || exit 1
    case $opened in "${seen% *} "*) ;; *) echo 'it was exchanged for something else meanwhile' >&2; exit 1 ;; esac
    size=${opened##* }
    if [ "$size" -gt "$limit" ]; then echo "it has $size bytes; $limit are read at most" >&2; exit 1; fi
    echo "${opened#* }"
    head -c "$size" <&3 || exit 1
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
pub(super) const MAKE_DIR: &str = concat!(
    enter!(),
    r#"
enter "$1" "$2" "$3" || exit 1
if [ -n "$made" ]; then echo made; fi
exit 0
"#
);

/// (FILE MODE OWNER SIZE) …: writes standard input, so many bytes each, into a directory of ours beside each FILE, and
/// gives it mode and owner there; then moves them all into their places in a row, and syncs the directories. A connection
/// that breaks leaves no half of a file, for its bytes are counted. What fails ends with the line `(stage FILE)`, or
/// `(move FILE)` if files may have been moved by then.
pub(super) const PLACE: &str = concat!(
    enter!(),
    bench!(),
    r#"
last=
at() {
    dir=${1%/*}/
    if [ "$dir" != "$last" ]; then
        last=
        enter "$dir" && bench || return 1
        last=$dir
    fi
}
stage() {
    at "$1" || return 1
    name=${1##*/} file=./placed-$count.tmp
    if [ -L "../$name" ] || { [ -e "../$name" ] && [ ! -f "../$name" ]; }; then fail 'not a regular file'; return 1; fi
    head -c "$4" >"$file" || return 1
    size=$(stat -c %s "$file") || return 1
    if [ "$size" != "$4" ]; then fail "$size of $4 bytes came"; return 1; fi
    if [ -n "$3" ]; then chown -- "$3" "$file" || return 1; fi
    chmod -- "$2" "$file" && sync "$file"
}
close() {
    last=
    cd -P .. && { rmdir -- "./.etcd-pki.$$.tmp" 2>/dev/null || :; } && sync .
}
move() {
    if [ -n "$last" ] && [ "${1%/*}/" != "$last" ]; then close || return 1; fi
    at "$1" && mv -fT -- "./placed-$count.tmp" "../${1##*/}"
}
each() {
    what=$1 count=0
    shift
    while [ $# -ge 4 ]; do
        count=$((count + 1))
        "$what" "$@" || { echo "($what $1)" >&2; return 1; }
        shift 4
    done
}
sweep() {
    while [ $# -ge 4 ] && [ -n "$benches" ]; do
        (enter "${1%/*}/" && [ -e "./.etcd-pki.$$.tmp" ] && bench && leave ".etcd-pki.$$.tmp") 2>/dev/null
        shift 4
    done
}
trap 'sweep "$@"' EXIT
trap 'exit 1' HUP INT TERM PIPE
each stage "$@" && each move "$@" && close && trap - EXIT
"#
);

/// DIRECTORY MODE OWNER, a symlink refused, and a directory that another user can exchange for one of root's. A file gets
/// another mode by being placed anew ([`PLACE`]).
pub(super) const SET_META: &str = concat!(
    enter!(),
    r#"
if [ -L "$1" ]; then fail 'a symlink'; exit 1; fi
enter "$1" || exit 1
if [ -z "$parent_safe" ] && [ "$owner" != "$parent_owner" ]; then
    fail 'it is in a directory of another user, who could exchange it for one of root'
    exit 1
fi
if [ -n "$3" ]; then chown -- "$3" . || exit 1; fi
chmod -- "$2" . && sync .
"#
);

/// PATH …: removes files, durably, one after the other.
pub(super) const REMOVE: &str = concat!(
    enter!(),
    bench!(),
    r#"
last=
for file do
    dir=${file%/*}/ name=${file##*/}
    if [ "$dir" != "$last" ]; then
        last=
        if [ ! -e "$dir" ]; then continue; fi
        enter "$dir" || exit 1
        stale
        last=$dir
    fi
    if [ ! -e "./$name" ] && [ ! -L "./$name" ]; then continue; fi
    rm -f -- "./$name" && sync . || exit 1
done
exit 0
"#
);

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
/// heard of for so long. Says `held`, or `by HOLDER`, or `no …`; holds on until it has not heard from us for so long. The
/// directory must be root's alone: in another user's, the lock's name could lead anywhere.
pub(super) const LOCK: &str = concat!(
    enter!(),
    r#"
umask 077
command -v flock >/dev/null 2>&1 || { echo 'no flock there: util-linux is missing'; exit 1; }
enter "$1" 0700 || { echo 'no directory can be made for it'; exit 1; }
[ -n "$safe" ] || { echo "no lock is taken in $1, which other users may write to"; exit 1; }
exec 9>>./lock || { echo 'no file can be made for it'; exit 1; }
if ! flock -w 4 9; then
    IFS= read -r holder <./lock
    if [ "$holder" != "$2" ] || ! flock -w "$(($3 + 5))" 9; then
        echo "by $holder"
        exit 1
    fi
fi
printf '%s\n' "$2" >./lock
echo "held here"
while [ -n "$(timeout "$3" head -c 1)" ]; do :; done
"#
);

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

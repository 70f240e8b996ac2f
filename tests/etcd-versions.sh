#!/bin/sh
# Fetches the etcd of other Debian suites for the tests, beside the one that is installed:
#   bullseye 3.3.25 · bookworm 3.4.23 · trixie 3.5.16 · sid 3.5.30
# Usage: tests/etcd-versions.sh [SUITE...]     prints the path of each etcd, one a line
#
# The packages come from where this machine gets its own: a private copy of its Debian source with the suite's name
# changed, private lists and a private cache, so that the machine's apt sees nothing of it. They are unpacked, not
# installed, under target/etcd/VERSION/. What is there already is not fetched again. Needs no root.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
store=${ETCD_VERSIONS_DIR:-$root/target/etcd}
[ $# -gt 0 ] || set -- bullseye bookworm trixie sid

say() { echo "$*" >&2; }
skip() { say "SKIPPED $*"; exit 0; }

for tool in apt-get dpkg-deb dpkg awk; do
    command -v "$tool" >/dev/null || skip "other etcd versions: this machine has no $tool"
done
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$codename" ] || skip "other etcd versions: this machine does not say which Debian it is"

# The machine's own source: "URI<tab>keyring" of the first entry whose suite is the machine's.
own_source() {
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        awk -v suite="$codename" '
            function flush() { if (uri != "" && hit) { print uri "\t" key; done = 1; exit } uri = ""; key = ""; hit = 0 }
            /^[[:space:]]*$/ { flush() }
            /^URIs:/ { uri = $2 }
            /^Suites:/ { for (i = 2; i <= NF; i++) if ($i == suite) hit = 1 }
            /^Signed-By:/ { if ($2 ~ /^\//) key = $2 }
            END { if (!done) flush() }' "$file"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] || continue
        awk -v suite="$codename" '
            $1 == "deb" {
                key = ""
                options = ""
                line = $0
                if (match(line, /\[[^]]*\]/)) {
                    options = substr(line, RSTART + 1, RLENGTH - 2)
                    line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
                }
                if (match(options, /signed-by=[^ ]+/)) key = substr(options, RSTART + 10, RLENGTH - 10)
                n = split(line, word, " ")
                if (n >= 4 && word[3] == suite) { print word[2] "\t" key; exit }
            }' "$file"
    done
}

source_line=$(own_source | head -n 1)
[ -n "$source_line" ] || skip "other etcd versions: no apt source of $codename on this machine"
uri=$(printf '%s' "$source_line" | cut -f 1)
key=$(printf '%s' "$source_line" | cut -f 2)
arch=$(dpkg --print-architecture)

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# fetch SUITE: downloads and unpacks; prints the version.
fetch() {
    suite=$1
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts" "$work/down"
    echo "deb [arch=$arch${key:+ signed-by=$key}] $uri $suite main" >"$work/sources.list"
    cat >"$work/apt.conf" <<EOF
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "$work/parts";
Dir::State::lists "$work/lists";
Dir::State::status "/dev/null";
Dir::Cache "$work/cache";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "";
EOF
    # Read besides the machine's own apt.conf, whose proxy and credentials it may need.
    export APT_CONFIG="$work/apt.conf"
    if ! apt-get -q update >"$work/log" 2>&1; then
        say "SKIPPED $suite: its package lists cannot be had: $(grep -m 1 '^[EW]:' "$work/log" || tail -n 1 "$work/log")"
        return 1
    fi
    if ! (cd "$work/down" && apt-get -q download etcd-server etcd-client >"$work/log" 2>&1); then
        say "SKIPPED $suite: etcd-server and etcd-client cannot be had: $(grep -m 1 '^E:' "$work/log" || tail -n 1 "$work/log")"
        return 1
    fi
    full=$(dpkg-deb -f "$work"/down/etcd-server_*.deb Version)
    version=$(printf '%s' "${full#*:}" | sed 's/[^0-9.].*//')
    for package in "$work"/down/*.deb; do
        dpkg-deb -x "$package" "$work/root"
    done
    mkdir -p "$store"
    rm -rf "${store:?}/$version"
    mv "$work/root" "$store/$version"
    echo "$version" >"$store/.$suite.new"
    mv "$store/.$suite.new" "$store/.$suite"
    rm -rf "$work"
    work=
}

for suite in "$@"; do
    version=$(cat "$store/.$suite" 2>/dev/null || true)
    if [ -z "$version" ] || [ ! -x "$store/$version/usr/bin/etcd" ]; then
        say "fetching etcd of $suite"
        fetch "$suite" || { rm -rf "$work"; work=; continue; }
        version=$(cat "$store/.$suite")
    fi
    echo "$store/$version/usr/bin/etcd"
done

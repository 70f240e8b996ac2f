#!/bin/sh
# Fetches the etcd of other Debian suites for the tests, beside the one that is installed:
#   bullseye 3.3.25 · bookworm 3.4.23 · trixie 3.5.16 · sid 3.5.30
# Usage: tests/etcd-versions.sh [SUITE...]     prints the path of each etcd, one a line
#
# The packages come from where this machine gets its own (.ci/private-apt). They are unpacked, not installed, under
# target/etcd/VERSION/. What is there already is not fetched again. Needs no root.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
store=${ETCD_VERSIONS_DIR:-$root/target/etcd}
[ $# -gt 0 ] || set -- bullseye bookworm trixie sid

say() { echo "$*" >&2; }
skip() { say "SKIPPED $*"; exit 0; }

for tool in apt-get dpkg-deb dpkg awk bash; do
    command -v "$tool" >/dev/null || skip "other etcd versions: this machine has no $tool"
done
"$root/.ci/debian-source" sid >/dev/null || skip "other etcd versions: this machine has no source of Debian"
arch=$(dpkg --print-architecture)

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# fetch SUITE: downloads and unpacks; prints the version.
fetch() {
    suite=$1
    work=$(mktemp -d)
    if ! config=$("$root/.ci/private-apt" "$work" "$arch" "$suite" 2>"$work/why"); then
        say "SKIPPED $suite: $(sed 's/^error: //' "$work/why")"
        return 1
    fi
    export APT_CONFIG="$config"
    mkdir -p "$work/down"
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

"""The crates that a target's binary is made of, as cargo builds them."""

import json
import pathlib
import re
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent


class Crate:
    """A crate of the build: `package` as in cargo's metadata, `linked` unless it only runs while building."""

    def __init__(self, package, checksum):
        self.package = package
        self.name = package["name"]
        self.version = package["version"]
        self.checksum = checksum
        self.linked = False
        self.needs = set()

    def __lt__(self, other):
        return (self.name, self.version) < (other.name, other.version)

    @property
    def ref(self):
        """Its package URL, which names it in an SBOM."""
        return f"pkg:cargo/{self.name}@{self.version}"


def cargo(*arguments):
    """What a cargo command prints."""
    return subprocess.run(["cargo", *arguments], cwd=TOP, check=True, stdout=subprocess.PIPE, text=True).stdout


def tree(target, edges):
    """Yields each crate that `cargo tree` visits, as (name, version), after the one that needs it (None for the root).

    `cargo metadata` resolves for all targets and kinds of dependency at once, and so names crates that are never built.
    """
    above = []
    for line in cargo("tree", "--locked", "--target", target, "--edges", edges, "--prefix", "depth", "--format", " {p}").splitlines():
        depth, name, version = line.split()[:3]
        del above[int(depth) :]
        crate = (name, version.removeprefix("v"))
        yield (above[-1] if above else None), crate
        above.append(crate)


def resolve(target):
    """The root crate, and all crates of a build for `target`, sorted by name and version."""
    entry = re.compile(r'name = "(.*)"\nversion = "(.*)"\nsource = ".*"\nchecksum = "(.*)"')
    checksums = {(name, version): sha for name, version, sha in entry.findall((TOP / "Cargo.lock").read_text())}
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--locked", "--filter-platform", target))
    packages = {(package["name"], package["version"]): package for package in metadata["packages"]}

    crates = {}
    for above, key in tree(target, "normal,build"):
        crate = crates.setdefault(key, Crate(packages[key], checksums.get(key)))
        if above:
            crates[above].needs.add(crate)
    for _, key in tree(target, "normal,no-proc-macro"):
        crates[key].linked = True
    root, *others = crates.values()
    return root, sorted(others)

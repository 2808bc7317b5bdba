"""Source distributions with their own tests: which ones, and how they get here."""

import functools
import hashlib
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple


class Package(NamedTuple):
    """A distribution; paths and patterns are relative to its root."""

    version: str
    sha256: str  # of the file that the index serves
    split: str
    root: str  # what goes on sys.path
    source: str  # a pattern: what may be mutated, and what the agent may change
    tests: str  # a pattern: what its suite needs
    left_out: str = "$^"  # test files that need more than the sandbox has


PACKAGES = {
    "boltons": Package("26.2.0", "d39cfd15c1a1c3bd4d705c82252fa9edb8e4f5e8cc039f8e39afac7b1b47e92c", "search", "", r"boltons/\w+\.py", r"tests/.*"),
    "toolz": Package("1.2.0", "9667a038e9d6ecba37995e26cb2f59ec6420b6ad8dd9677de59db9b956b08490", "search", "", r"(toolz|tlz)/(?!tests/).*\.py", r"toolz/tests/.*"),
    "cachetools": Package("8.0.2", "30ac523adfc118b51d2b2e7bad8a0ddb31370dfe2700c7f10ca224f36ccf81e0", "select", "src", r"src/cachetools/.*\.py", r"tests/.*",
                          r"test_threading"),
    "inflection": Package("0.5.1", "1a29730d366e996aaacffb2f1f1cb9593dc38e2ddd30c91250c6dde09ea9b417", "select", "", r"inflection/.*\.py", r"test_\w+\.py"),
    "humanize": Package("4.17.0", "1d6a36c453dbfbb3f0b34601d2e0b4ce5d48d780305cd45714843f0068fde6ac", "heldout", "src", r"src/humanize/.*\.py", r"tests/.*",
                        r"test_benchmarks|test_i18n"),
    "python-slugify": Package("9.2.0", "cee32948083476013804de1667724fb1362dacb71e47b1d5d92adf8db6ee3298", "heldout", "", r"slugify/.*\.py",
                              r"tests/.*|(?=test)\w+\.py", r"test_cli|test_release"),
}
# What is mutated must not touch files when its tests run: they run outside a sandbox when cases are made.
UNTOUCHED = re.compile(r"fileutils|pathutils|ioutils|ecoutils|debugutils|gcutils|tbutils|socketutils|"
                       r"__main__|_version|i18n|sandbox")
# What the suites need, in the sandbox and where cases are made; none of the packages themselves.
TEST_PACKAGES = ("pytest==9.2.0", "text-unidecode==1.3", "freezegun==1.5.5")


def cache_folder():
    """Where sources and cases that were made are kept."""
    if os.access("/var/cache", os.W_OK):
        return Path("/var/cache/evolve/bugfix")
    return Path.home() / ".cache" / "evolve" / "bugfix"


@functools.cache
def tree(name):
    """Path -> content of a package's source files and tests, as published."""
    package = PACKAGES[name]
    wanted = re.compile(f"{package.source}|{package.tests}")
    found = {}
    with tarfile.open(_archive(name)) as archive:
        for member in archive.getmembers():
            path = member.name.partition("/")[2]
            if member.isfile() and wanted.fullmatch(path) and not re.search(package.left_out, path):
                found[path] = archive.extractfile(member).read()
    return found


def is_source(name, path):
    """Whether a file is the package's own, and no test."""
    return re.fullmatch(PACKAGES[name].source, path) is not None


def _archive(name):
    """The distribution's file: the engine's, or one that pip fetches. Raises RuntimeError."""
    package = PACKAGES[name]
    found = [path for folder in (*map(Path, sys.path), cache_folder())
             for path in (folder / "sdists").glob(f"{name.replace('-', '[-_]')}-{package.version}.tar.gz")]
    archive = found[0] if found else _fetched(name, cache_folder() / "sdists")
    if hashlib.sha256(archive.read_bytes()).hexdigest() != package.sha256:
        raise RuntimeError(f"{archive} is not the file that the cases were made from")
    return archive


def _fetched(name, folder):
    requirement = f"{name}=={PACKAGES[name].version}"
    done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                           "--no-binary", ":all:", "--dest", str(folder), requirement],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"pip can't fetch the source of {requirement}: {done.stderr[-500:]}")
    return next(folder.glob(f"{name.replace('-', '[-_]')}-*.tar.gz"))

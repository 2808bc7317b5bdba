"""A suite: a package's tree, which of its tests are run, and what its runner said."""

import json
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from sources import PACKAGES

RUNNER = Path(__file__).with_name("runner.py").read_text()
INI = "[pytest]\n"


class Ended(NamedTuple):
    """name of a test function -> [outcome, how many times it ran]; texts of the first failures."""

    ended: dict
    said: list


def test_files(files):
    """All of a tree, sorted."""
    return sorted(path for path in files if re.search(r"(^|/)test_[^/]*\.py$", path))


def tests_of(name, files, source):
    """The test files that are about a source file; all of them where the package is small."""
    tests = test_files(files)
    stem = source.rsplit("/", 1)[-1].removesuffix(".py")
    about = [path for path in tests if f"test_{stem}." in path or f"test_{stem}_" in path]
    return about if name == "boltons" else tests


def order(name, root, tests, site=()):
    """What the runner is told, and the nonce that its answer must carry."""
    nonce = secrets.token_hex(16)
    package = PACKAGES[name]
    text = json.dumps({"nonce": nonce, "ini": f"{root}/graded.ini", "root": root, "tests": [
        f"{root}/{path}" for path in tests], "path": [*site, f"{root}/{package.root}".rstrip("/")]})
    return text.encode(), nonce


def read(stdout, nonce):
    """The runner's answer; None unless there is exactly one that carries the nonce."""
    lines = [line for line in stdout.splitlines() if nonce.encode() in line]
    if len(lines) != 1:
        return None
    try:
        said = json.loads(lines[0])
        ended = {str(test): (str(outcome), int(count)) for test, (outcome, count) in said["ended"].items()}
        return Ended(ended, said["said"]) if said["nonce"] == nonce else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None

"""Update all tables of RESULTS.md: run the commands in it, and insert their output.

    python -m benchmarks.run_all                 # all of them, almost an hour on 2 cores
    python -m benchmarks.run_all sandbox archive # commands that contain one of these words
    python -m benchmarks.run_all --list

A table is between two comments, with its command and when, where and how long it ran. The text
around it is not changed, so read it again: it may refer to other figures. The file is written after
each command. Tables without such comments need things that not every machine has (a real model, the
repositories of other projects); the text next to them describes how they were made.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

RESULTS = Path(__file__).with_name("RESULTS.md")
ROOT = RESULTS.parents[1]
BLOCK = re.compile(
    r"<!-- table -->\n`(?P<command>[^`]+)`\n.*?<!-- end -->\n", re.DOTALL
)


def main() -> int:
    """Run the selected commands; return 1 if one failed, whose table is not changed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "words", nargs="*", help="only commands that have one of these in them"
    )
    parser.add_argument(
        "--list", action="store_true", help="show the commands, run nothing"
    )
    given = parser.parse_args()
    commands = [
        found["command"]
        for found in BLOCK.finditer(RESULTS.read_text())
        if not given.words or any(word in found["command"] for word in given.words)
    ]
    if given.list:
        sys.stdout.write("".join(f"{command}\n" for command in commands))
        return 0
    return max([renew(command) for command in commands], default=0)


def renew(command: str) -> int:
    """Run one command and insert its table into the file.

    A benchmark that misses a target exits with 1 and still prints its table.

    Args:
        command: The command in RESULTS.md.

    Returns:
        0 if it printed a table, else its exit code.
    """
    sys.stderr.write(f"$ {command}\n")
    started = time.monotonic()
    here = Path(sys.executable).parent
    done = subprocess.run(
        [str(here / shlex.split(command)[0]), *shlex.split(command)[1:]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env=os.environ | {"PATH": f"{here}:{os.environ['PATH']}"},
    )
    if not done.stdout.strip() or done.returncode not in (0, 1):
        sys.stderr.write(f"it ended with {done.returncode}\n")
        return done.returncode or 1
    RESULTS.write_text(
        replaced(
            RESULTS.read_text(),
            command,
            done.stdout,
            f"{where()}, {time.monotonic() - started:.0f} s",
        )
    )
    return 0


def replaced(text: str, command: str, printed: str, ran: str) -> str:
    """Return the page with a new table under a command."""

    def block(found: re.Match[str]) -> str:
        if found["command"] != command:
            return found[0]
        shown = printed.strip("\n")
        if not re.search(r"^\|", shown, re.MULTILINE):
            shown = f"```\n{shown}\n```"
        return f"<!-- table -->\n`{command}`\n\n{shown}\n\n{ran}\n<!-- end -->\n"

    return BLOCK.sub(block, text)


def where() -> str:
    """Return date, commit, machine and versions."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    engine = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {commit}, {os.cpu_count()} cores "
        f"{platform.machine()}, {psutil.virtual_memory().total / 2**30:.0f} GiB, Linux "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}, numpy "
        f"{version('numpy')}, Docker {engine or 'none'}"
    )


if __name__ == "__main__":
    sys.exit(main())

"""The local provider keeps the contract."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

from evolve.sandbox import Provider, SandboxSpec
from evolve.sandbox.choose import AUTOMATIC
from evolve.sandbox.contract import SPEC, SandboxContract, attempt, opened
from evolve.sandbox.local import LocalProvider

ESCAPES = """
import os, subprocess, sys

def answer(told):
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    with open(told, "w") as file:
        for new_session in (False, True):
            file.write(f"{subprocess.Popen(sleeper, start_new_session=new_session).pid}\\n")
    if os.fork() == 0:  # its parent ends before it
        os.setsid()
        if os.fork() == 0:
            with open(told, "a") as file:
                file.write(f"{os.getpid()}\\n")
            os.execv(sleeper[0], sleeper)
        os._exit(0)
    os.wait()
    while len(open(told).readlines()) < 3:
        pass
    return os.getcwd()
"""


class TestLocal(SandboxContract):
    def make_provider(self, spec: SandboxSpec) -> Provider:
        return LocalProvider(spec)


def test_it_says_that_it_isolates_nothing() -> None:
    assert LocalProvider.isolates is False


def test_it_is_never_chosen_by_itself() -> None:
    assert AUTOMATIC == ("docker", "bubblewrap")


def test_a_box_serves_again_once_everything_of_the_candidate_has_ended(
    tmp_path: Path,
) -> None:
    """In another session, or without a parent: it ends with the candidate, whose folder is removed."""

    async def two_lives() -> tuple[list[int], Path, int]:
        async with opened(LocalProvider(SPEC)) as pool:
            first = await attempt(pool, ESCAPES, str(tmp_path / "told"))
            assert first.clean, first
            second = await attempt(
                pool, "import os\n\ndef answer():\n    return os.listdir('.')\n"
            )
            assert second.value == ["candidate.py"], second
            left = [int(line) for line in (tmp_path / "told").read_text().split()]
            return left, Path(first.value), pool.counts.started

    left, folder, started = asyncio.run(two_lives())
    assert len(left) == 3 and not any(map(psutil.pid_exists, left))
    assert not folder.exists() and started == 1

"""Faults of the machine, at start, in mid-run and at resume: `python -m tests.crash.faults` writes docs/faults.md."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.cli import EVOLVE
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "faults.md"
SANDBOXES, PHASES = ("docker", "bubblewrap"), ("start", "mid-run", "resume")
VARIANTS, PATIENCE_S = 16, 3
STEPS = ROOT / "tests" / "tasks" / "steps"


@dataclass
class Place:
    """Folders of one cell, and what a fault needs to know of it."""

    folder: Path
    sandbox: str
    environment: dict[str, str] = field(default_factory=dict)
    before: str = ""  # commands of the shell that starts `evolve`

    @property
    def disk(self) -> Path:
        """A file system of its own."""
        return self.folder / "disk"


class Fault(NamedTuple):
    """One kind of fault.

    Attributes:
        name: In the table.
        begin: Makes it before `evolve` starts.
        strike: Makes it while the process works.
        only: The sandbox that it is a fault of; empty: of both.
    """

    name: str
    begin: Callable[[Place], None]
    strike: Callable[[Place, int], None]
    only: str = ""


class Cell(NamedTuple):
    """What happened."""

    fault: str
    phase: str
    sandbox: str
    outcome: str
    message: str
    status: int


def limited(flag: str, value: int, kind: int, unit: int = 1) -> Fault:
    def begin(place: Place) -> None:
        place.before = f"ulimit -{flag} {value}; "

    def strike(place: Place, pid: int) -> None:
        resource.prlimit(pid, kind, (value * unit, value * unit))

    return Fault(f"`ulimit -{flag} {value}`", begin, strike)


def fill(folder: Path) -> None:
    """Leave no free byte."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


def temporary_full(place: Place) -> None:
    place.environment["TMPDIR"] = str(place.disk)
    fill(place.disk)


def temporary_fills(place: Place, pid: int) -> None:
    fill(place.disk)


def cache_full(place: Place) -> None:
    place.environment["EVOLVE_CACHE_DIR"] = str(place.disk)
    fill(place.disk)


def runs_full(place: Place) -> None:
    fill(place.disk)


def not_answering(place: Place) -> None:
    listening = socket.socket(socket.AF_UNIX)
    path = place.folder / "docker.sock"
    listening.bind(str(path))
    listening.listen(8)
    place.environment["DOCKER_HOST"] = f"unix://{path}"
    DEAF.append(listening)


DEAF: list[socket.socket] = []


def made_of(place: Place) -> str:
    """The key of the root file system: that of this cell alone, by its packages."""
    listed = place.folder / "cache" / "rootfs"
    return next(path.name for path in listed.iterdir() if path.is_dir())


def image_gone(place: Place, pid: int = 0) -> None:
    tag = f"localhost/evolve-sandbox:{made_of(place)}"
    subprocess.run(["docker", "rmi", "--force", tag], capture_output=True, check=True)


def files_gone(place: Place, pid: int = 0) -> None:
    root = place.folder / "cache" / "rootfs" / made_of(place)
    for found in root.glob("**/lib/python3*/json"):
        shutil.rmtree(found)


def nothing(place: Place, pid: int = 0) -> None:
    """Only the sandbox is killed, as after every other fault in mid-run."""


FAULTS = (
    limited("n", 128, resource.RLIMIT_NOFILE),
    limited("u", 40, resource.RLIMIT_NPROC),
    limited("f", 1000, resource.RLIMIT_FSIZE, 1024),
    limited("v", 600_000, resource.RLIMIT_AS, 1024),
    Fault("TMPDIR is full", temporary_full, temporary_fills),
    Fault("the cache's disk is full", cache_full, nothing),
    Fault("the runs' disk is full", runs_full, temporary_fills),
    Fault("Docker does not answer", not_answering, nothing, "docker"),
    Fault("the image is removed", image_gone, image_gone, "docker"),
    Fault(
        "a file of the root file system is gone", files_gone, files_gone, "bubblewrap"
    ),
)


@contextmanager
def prepared(sandbox: str) -> Iterator[Place]:
    """A place with a disk of 24 MB for what its fault fills, and a cache of its own."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    folder.chmod(0o755)
    place = Place(folder, sandbox)
    place.disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=1777", "tmpfs"]
    subprocess.run([*mount, str(place.disk)], check=True)
    shutil.copytree(STEPS, folder / "steps")
    if TEMPLATE:
        copy = ["cp", "-a", "--reflink=auto", str(TEMPLATE[0]), str(folder / "cache")]
        subprocess.run(copy, check=True)
    place.environment |= {
        "EVOLVE_PATIENCE_S": str(PATIENCE_S),
        "EVOLVE_WINDOW": "1",  # so that every run makes the same variants
        "EVOLVE_CACHE_DIR": str(folder / "cache"),
        "EVOLVE_SANDBOX": sandbox,
    }
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place.disk)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def starting(place: Place, *arguments: str) -> subprocess.Popen[str]:
    command = [EVOLVE, *arguments, "--json"]
    return subprocess.Popen(
        ["bash", "-c", f"{place.before}exec {shlex.join(command)}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place.folder,
        env=os.environ | place.environment,
    )


def running(
    place: Place, runs: Path, variants: int = VARIANTS
) -> subprocess.Popen[str]:
    options = ("--max-variants", str(variants), "--workers", "1", "--name", "r")
    return starting(place, "run", "steps", *options, "--runs-dir", str(runs))


def kill_sandbox(place: Place, pid: int) -> None:
    """End the sandbox of an engine, so that it needs another one."""
    if place.sandbox == "docker":
        listing = ["docker", "ps", "--format", "{{.ID}} {{.Labels}}"]
        found = subprocess.run(listing, capture_output=True, text=True, check=True)
        for line in found.stdout.splitlines():
            if f"/{pid}/" in line:
                kill = ["docker", "kill", line.split()[0]]
                subprocess.run(kill, capture_output=True, check=False)
        return
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            if "start.py" in " ".join(child.cmdline()):
                child.send_signal(signal.SIGKILL)


def tried(fault: Fault, phase: str, sandbox: str) -> Cell:
    with prepared(sandbox) as place:
        at_disk = fault.begin is runs_full
        runs = place.disk if at_disk else place.folder / "runs"
        if phase == "mid-run" and fault.begin is temporary_full:
            place.environment["TMPDIR"] = str(place.disk)
        if phase == "start":
            fault.begin(place)
            process = running(place, runs)
            rest, errors = process.communicate(timeout=120)
        elif phase == "resume":
            running(place, runs, 3).communicate(timeout=120)
            fault.begin(place)
            more = ("--max-variants", str(VARIANTS), "--runs-dir", str(runs))
            process = starting(place, "resume", "r", *more)
            rest, errors = process.communicate(timeout=120)
        else:
            process = running(place, runs)
            assert process.stdout is not None
            seen = [process.stdout.readline() for _ in range(4)]
            assert seen[-1], process.communicate()[1]
            fault.strike(place, process.pid)
            kill_sandbox(place, process.pid)
            rest, errors = process.communicate(timeout=120)
        assert_none_failed_by_it(place, runs)
        return Cell(
            fault.name,
            phase,
            sandbox,
            outcome(process.returncode, rest, errors),
            said(errors, place),
            process.returncode,
        )


def outcome(status: int, printed: str, errors: str) -> str:
    if status == 0:
        return "goes on"
    return (
        "refused"
        if status == 3
        else "waits, then stops; resumable"
        if (f"for {PATIENCE_S} s" in errors)
        else "stops; resumable"
    )


_OTHERS = re.compile(r"(-u\), and at least|^ulimit -u|— ulimit -u) \d+")


def said(errors: str, place: Place) -> str:
    """The message and the way out, without the paths and numbers of this machine."""
    lines = errors.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("error:")), None)
    if first is None:
        return ""
    text = " — ".join(line.strip() for line in lines[first : first + 2])
    text = text.removeprefix("error: ").replace(str(place.folder), "PLACE")
    text = _OTHERS.sub(r"\1 N", text)  # depends on what else runs here
    return text.replace("|", "/")


def assert_none_failed_by_it(place: Place, runs: Path) -> None:
    """Each finished variant is as in a run without a fault: none failed by the machine."""
    if not (runs / "r" / "run.toml").exists():
        return
    with suppress(FileNotFoundError):
        (place.disk / "filler").unlink()
    listed = subprocess.run(
        [EVOLVE, "tree", "r", "--runs-dir", str(runs), "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    for variant in json.loads(listed.stdout):
        known = REFERENCE.get(variant["id"])
        if variant["status"] in ("scored", "failed") and known is not None:
            found = (variant["status"], variant["score"])
            assert found == known, (variant, known)


REFERENCE: dict[str, tuple[str, float | None]] = {}


TEMPLATE: list[Path] = []  # a cache with all that the cells need


@contextmanager
def learned_reference() -> Iterator[None]:
    """Learn what becomes of each variant where nothing fails, and keep the cache."""
    with prepared("bubblewrap") as place:
        running(place, place.folder / "runs").communicate(timeout=120)
        tree = [EVOLVE, "tree", "r", "--json"]
        listed = subprocess.run(
            tree, capture_output=True, text=True, check=True, cwd=place.folder
        )
        for variant in json.loads(listed.stdout):
            REFERENCE[variant["id"]] = (variant["status"], variant["score"])
        assert len(REFERENCE) > VARIANTS
        TEMPLATE.append(place.folder / "cache")
        try:
            yield
        finally:
            TEMPLATE.clear()


def cells() -> list[Cell]:
    """Try every fault, four at a time: most of the time is waiting."""
    tries = [
        (fault, phase, sandbox)
        for fault in FAULTS
        for sandbox in SANDBOXES
        if fault.only in ("", sandbox)
        for phase in PHASES
        if not (phase == "mid-run" and fault.strike is nothing)
    ]
    with learned_reference(), ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: tried(*each), tries))
    for listening in DEAF:
        listening.close()
    return found


def page(found: list[Cell]) -> str:
    lines = [
        "# Faults of the machine",
        "",
        "Generated by `python -m tests.crash.faults`, which makes each fault at the start of a "
        "run, in the middle of it (the sandbox is killed, too) and at `evolve resume`. "
        f"Here a run waits {PATIENCE_S} s (`patience_s`). No fault became the failure of a "
        "variant: each finished one is as in a run without faults.",
        "",
        "| fault | when | sandbox | outcome | exit | message |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for cell in found:
        lines.append(
            f"| {cell.fault} | {cell.phase} | {cell.sandbox} | {cell.outcome} "
            f"| {cell.status} | {cell.message} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    began = time.monotonic()
    PAGE.write_text(page(cells()))
    sys.stderr.write(f"{PAGE} in {time.monotonic() - began:.0f} s\n")

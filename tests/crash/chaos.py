"""Everything that can go wrong on a machine, at random moments of one run.

By hand, as root, with nothing else that needs the Docker daemon:

    python -m tests.crash.chaos --seed 1 --variants 500 --faults 30
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import docker
import docker.errors

from evolve.archive import ArchiveReader, CallState
from tests.cli import EVOLVE, ScriptedServer, evolve
from tests.crash.daemon import start_daemon, stop_daemon
from tests.crash.test_kill import assert_one_tree, assert_stores_clean
from tests.crash.test_machine_faults import OWN_FAULTS, containers_of

CONCURRENCY = 8
LONGEST_S = 1200.0
LONGEST_PAUSE_S = 4.0  # between faults


@dataclass
class Server:
    """The scripted model at one address; it can be down for a while."""

    options: tuple[str | float, ...]
    running: ScriptedServer | None = None
    replies: int = 0
    port: int = 0

    def start(self) -> None:
        self.running = ScriptedServer("--port", self.port, *self.options)
        self.port = int(self.running.model.rpartition(":")[2].removesuffix("/v1"))

    def stop(self) -> None:
        assert self.running is not None
        self.replies += self.running.stats()["replies"]
        self.running.stop()

    @property
    def model(self) -> str:
        assert self.running is not None
        return self.running.model


@dataclass
class Chaos:
    """One run and what is done to it."""

    disk: Path  # a small file system of its own
    task: Path
    server: Server
    printed: IO[str]
    limit: list[str]
    seed: int
    engine: subprocess.Popen[str] | None = None
    done: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        """Start the engine, or let it go on."""
        base = (
            [EVOLVE, "resume", "r"]
            if (self.disk / "r").exists()
            else [
                EVOLVE,
                "run",
                str(self.task),
                "--name",
                "r",
                "--model",
                self.server.model,
                "--price",
                f"{self.server.model}=1/1",
                "--seed",
                str(self.seed),
                "--sandbox",
                "docker",
            ]
        )
        self.engine = subprocess.Popen(
            [*base, *self.limit],
            stdout=self.printed,
            stderr=self.printed,
            text=True,
            env=os.environ | {"EVOLVE_MODEL_CALLS": str(CONCURRENCY)},
        )

    def kill_engine(self) -> None:
        assert self.engine is not None
        self.engine.kill()
        self.engine.wait()

    def kill_container(self) -> None:
        assert self.engine is not None
        client = docker.from_env()
        with suppress(docker.errors.APIError):  # it is just being replaced
            for container in containers_of(client, self.engine.pid)[:1]:
                container.kill()
        client.close()

    def restart_daemon(self) -> None:
        stop_daemon()
        time.sleep(1.0)
        start_daemon(Path(self.printed.name).parent / "dockerd.log")

    def silence_model(self) -> None:
        self.server.stop()
        time.sleep(5.0)
        self.server.start()

    def stand_still(self) -> None:
        assert self.engine is not None
        self.engine.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        self.engine.send_signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        filler = self.disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        time.sleep(2.0)
        filler.unlink()

    def faults(self, daemon: bool) -> dict[str, Callable[[], None]]:
        found = {
            "kill -9 engine": self.kill_engine,
            "kill -9 container": self.kill_container,
            "model down": self.silence_model,
            "stand still": self.stand_still,
            "disk full": self.fill_disk,
        }
        return found | ({"daemon restarted": self.restart_daemon} if daemon else {})

    def go(self, chance: random.Random, count: int, daemon: bool) -> None:
        """Faults at random moments until all have happened; then to the end."""
        faults, deadline = self.faults(daemon), time.monotonic() + LONGEST_S
        self.begin()
        assert self.engine is not None
        while True:
            with suppress(subprocess.TimeoutExpired):
                pause_s = (
                    chance.uniform(0.2, LONGEST_PAUSE_S)
                    if self.done.total() < count
                    else 60.0
                )
                self.engine.wait(timeout=pause_s)
            assert time.monotonic() < deadline, "it takes too long"
            if self.engine.poll() == 0:
                return
            assert self.engine.poll() != 2, Path(self.printed.name).read_text()[-2000:]
            if self.engine.poll() is not None:
                self.begin()  # it was killed, or gave up and can be resumed
            elif self.done.total() < count:
                name = chance.choice(sorted(faults))
                faults[name]()
                self.done[name] += 1


def chaos(
    folder: Path,
    disk: Path,
    task: Path,
    *,
    seed: int,
    variants: int,
    faults: int,
    daemon: bool,
) -> dict[str, Any]:
    """A run among faults; asserts what must hold in the end and says what happened."""
    chance = random.Random(seed)
    # Slow enough that the run lasts longer than its faults, though they cost it nothing.
    latency_s = LONGEST_PAUSE_S * faults * CONCURRENCY / variants
    server = Server(("--latency", latency_s, "--bad-rate", 0.1))
    server.start()
    limit = ["--max-variants", str(variants), "--runs-dir", str(disk), "--json"]
    with (folder / "printed").open("a") as printed:
        run = Chaos(disk, task, server, printed, limit, seed)
        started = time.monotonic()
        try:
            run.go(chance, faults, daemon)
        finally:
            if run.engine is not None and run.engine.poll() is None:
                run.engine.kill()
                run.engine.wait()
            server.stop()
    assert run.done.total() == faults, (
        f"the run ended before its faults: {dict(run.done)}"
    )
    assert_whole(disk / "r", variants)
    lost = assert_accounts(disk / "r", server, run.done)
    return {
        "seed": seed,
        "seconds": round(time.monotonic() - started),
        "faults": dict(run.done),
        "replies": server.replies,
        "lost calls": lost,
    }


def assert_whole(run: Path, variants: int) -> None:
    """Exactly so many scored or failed, one tree, clean stores, and no machine's fault in a score."""
    found = evolve("tree", "r", "--runs-dir", run.parent, "--json").json()
    finished = [
        v for v in found if v["status"] in ("scored", "failed") and v["number"] > 0
    ]
    assert len(finished) == len(found) - 1 == variants
    assert {v["reason"] for v in finished} <= OWN_FAULTS
    assert_one_tree(found)
    assert_stores_clean(run)


def assert_accounts(run: Path, server: Server, done: Counter[str]) -> int:
    """Stored replies are used once; spend is settled plus uncertain; returns calls that were lost."""
    archive = ArchiveReader.open(run / "archive.db")
    calls, spend = archive.calls(), archive.spend()
    archive.close()
    replied = [call for call in calls if call.state is CallState.REPLIED]
    assert len({(call.proposal, call.purpose, call.step) for call in replied}) == len(
        replied
    )
    assert not [call for call in calls if call.state is CallState.SENT]
    lost = [call for call in calls if call.state is CallState.UNCERTAIN]
    assert abs(spend.settled_usd - sum(call.cost_usd for call in replied)) < 1e-9
    assert abs(spend.uncertain_usd - sum(call.reserved_usd for call in lost)) < 1e-9
    assert abs(spend.usd - spend.settled_usd - spend.uncertain_usd) < 1e-9
    breaks = sum(done[name] for name in ("kill -9 engine", "model down", "stand still"))
    assert 0 <= server.replies - len(replied) <= len(lost) <= breaks * CONCURRENCY
    return len(lost)


def main() -> int:
    """From the command line: one run after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--variants", type=int, default=500)
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument(
        "--no-daemon", action="store_true", help="leave the Docker daemon alone"
    )
    given = parser.parse_args()
    task = Path(__file__).parents[1] / "tasks" / "steps"
    for seed in range(given.seed, given.seed + given.runs):
        with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder)) as disk:
            report = chaos(
                Path(folder),
                disk,
                task,
                seed=seed,
                variants=given.variants,
                faults=given.faults,
                daemon=not given.no_daemon,
            )
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
    return 0


class small_disk:
    """A tmpfs that fills up soon."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "disk"

    def __enter__(self) -> Path:
        self._path.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(self._path)],
            check=True,
        )
        return self._path

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self._path)], check=True)


if __name__ == "__main__":
    sys.exit(main())

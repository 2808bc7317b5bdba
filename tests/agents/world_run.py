"""One run of the $0 world in Docker, killed twice and resumed: as a test has it, or larger by hand.

    python -m tests.agents.world_run dgm --agents 40 --kill-at 100 300
    python -m tests.agents.world_run hgm --agents 88 --kill-at 100 300

88 agents of `hgm` have some 600 case evaluations, 40 of `dgm` as many. The task has four cases of a
kind in each split, so that 24 held-out cases can tell the best agent from the seed; `--window` makes
each run the same, whatever is killed and whoever is fast.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from evolve.archive import (
    ArchiveReader,
    CodeStore,
    Kind,
    Lineage,
    Proposal,
    State,
    interval,
)
from tests.agent_model import AgentModel, serving_agents
from tests.agents.world import CHANGES, answer
from tests.cli import EVOLVE, evolve, evolve_process
from tests.conftest import ROOT
from tests.crash.test_kill import assert_stores_clean
from tests.e2e.test_agents import assert_paid_once

HELPS = {
    name: CHANGES[name].line or "OUTPUT_CHARS = 60000"
    for name in ("look", "test", "edge", "long")
}


@dataclass(frozen=True)
class Found:
    """What a run came to."""

    seed: dict[str, float]  # held-out case -> score
    best: dict[str, float]
    path: list[str]  # from the seed to the best, what each step says that it did
    helped: list[str]  # the helpful changes on it
    states: Counter[str]  # of proposals, evaluations left out
    reasons: Counter[str]  # why proposals became no agents
    evaluations: int
    calls: int
    seconds: float


def more_cases(folder: Path) -> Path:
    """The task with four cases of a kind in every split."""
    shutil.copytree(ROOT / "tests" / "tasks" / "agent_world", folder)
    text = (folder / "evaluate.py").read_text()
    assert "EACH = 2" in text
    (folder / "evaluate.py").write_text(text.replace("EACH = 2", "EACH = 4"))
    return folder


def rows_in(run: Path) -> int:
    """Evaluations that are stored; 0 while there is no archive."""
    if not (run / "archive.db").exists():
        return 0
    with sqlite3.connect(f"file:{run / 'archive.db'}?mode=ro", uri=True) as database:
        (count,) = database.execute("SELECT count(*) FROM evaluations").fetchone()
    database.close()
    return int(count)


def killed_at(command: list[str], run: Path, rows: int) -> None:
    """kill -9 while it works, when so many rows are there."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while rows_in(run) < rows:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def heldout(task: Path, model: AgentModel, *agent: Path) -> dict[str, float]:
    """The score of an agent on every held-out case."""
    done = evolve(
        "eval",
        task,
        *agent,
        "--split",
        "heldout",
        "--sandbox",
        "bubblewrap",
        "--model",
        model.model,
        "--json",
    )
    assert done.code == 0, done.err
    return {row["case"]: row["score"] for row in done.json()["cases"]}


def worked(
    folder: Path,
    name: str,
    policy: str,
    agents: int,
    kill_at: tuple[int, ...],
    model: AgentModel,
    workers: int = 2,
    seed: int = 0,
) -> Path:
    """Begin, kill -9 at so many rows, resume to the end; stores are whole, nothing is paid twice."""
    run, limit = (
        folder / name,
        ["--max-variants", str(agents - 1), "--runs-dir", str(folder)],
    )
    command = [
        EVOLVE,
        "run",
        str(folder / "task"),
        "--name",
        name,
        "--policy",
        policy,
        "--window",
        "2",
        *limit,
        "--model",
        model.model,
        "--sandbox",
        "docker",
        "--workers",
        str(workers),
        "--seed",
        str(seed),
    ]
    for rows in kill_at:
        killed_at(command, run, rows)
        command = [EVOLVE, "resume", name, *limit]
    done = evolve_process(*command[1:], timeout=6000)
    assert done.code == 0, done.err
    assert_paid_once(run, model, kills=len(kill_at), at_once=8)
    assert_stores_clean(run)
    return run


def carried_out(
    folder: Path, policy: str, agents: int, kill_at: tuple[int, ...], seed: int = 0
) -> Found:
    """A run and what it came to: the seed and the best on the held-out cases."""
    task, started = more_cases(folder / "task"), time.monotonic()
    with serving_agents(AgentModel(answer)) as model:
        run = worked(folder, "r", policy, agents, kill_at, model, seed=seed)
        calls, seconds = model.calls, time.monotonic() - started
        best = evolve(
            "best", "r", "--runs-dir", folder, "-o", folder / "best", "--json"
        )
        assert best.code == 0, best.err
        rates = heldout(task, model), heldout(task, model, folder / "best")
    return read(run, best.json()["id"], rates, calls, seconds)


Rates = dict[str, float]


def read(
    run: Path, best: str, rates: tuple[Rates, Rates], calls: int, seconds: float
) -> Found:
    """From the archive; no row is there twice."""
    archive, code = (
        ArchiveReader.open(run / "archive.db"),
        CodeStore.open(run / "code.git"),
    )
    made = [p for p in archive.proposals() if p.kind is not Kind.EVALUATE]
    rows = [
        (p.id, row.case, row.attempt, row.split)
        for p in made
        for row in archive.evaluations(p.id)
    ]
    assert len(set(rows)) == len(rows) and {split for *_, split in rows} == {"search"}
    path = archive.some(Lineage(archive).path(best))
    found = Found(
        *rates,
        [p.note for p in path],
        helpful(code, path),
        Counter(p.state.value for p in made),
        Counter(p.reason or "" for p in made if p.state is State.REJECTED),
        len(rows),
        calls,
        seconds,
    )
    archive.close()
    return found


def helpful(code: CodeStore, path: list[Proposal]) -> list[str]:
    """The helpful changes on the way from the seed: named by a step, and new in its files."""
    found = []
    for parent, child in itertools.pairwise(path):
        name = child.note.removeprefix("CHANGE: ").split()[0]
        assert parent.tree is not None and child.tree is not None
        before, after = (
            b"".join(code.files(tree).values()).decode()
            for tree in (parent.tree, child.tree)
        )
        if name in HELPS and HELPS[name] in after and HELPS[name] not in before:
            found.append(name)
    return found


def main() -> None:
    """Carry one out, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("policy", choices=["dgm", "hgm"])
    parser.add_argument("--agents", type=int, default=40)
    parser.add_argument(
        "--kill-at", type=int, nargs="*", default=(100, 300), metavar="ROWS"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = carried_out(
            Path(folder), given.policy, given.agents, tuple(given.kill_at), given.seed
        )
    for name, scores in (("seed", found.seed), ("best", found.best)):
        values = list(scores.values())
        low, high = interval(values)
        sys.stdout.write(
            f"{name}: heldout {fmean(values):.3f} in [{low:.3f}, {high:.3f}], "
            f"{len(values)} cases\n"
        )
    sys.stdout.write(
        f"lineage: {' > '.join(found.path)}\nhelpful: {', '.join(found.helped)}\n"
        f"{dict(found.states)}, turned away: {dict(found.reasons)}\n"
        f"{found.evaluations} case evaluations, {found.calls} model calls, "
        f"{found.seconds:.0f} s, killed {len(given.kill_at)} times\n"
    )


if __name__ == "__main__":
    main()

"""A person steers a live run: hints, bans and programs take effect once, kills or not."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evolve.archive import ArchiveReader, CallPurpose, State
from tests.cli import EVOLVE, ScriptedServer, evolve
from tests.peers import FOLDER


class Live:
    """A run that goes on in the background; its JSON lines are read as they come."""

    def __init__(self, cwd: Path, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [EVOLVE, *map(str, arguments), "--json"],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def after(self, variants: int) -> None:
        """Until so many variants are told of."""
        assert self.process.stdout is not None
        seen = 0
        for line in self.process.stdout:
            seen += json.loads(line)["event"] == "variant"
            if seen >= variants:
                return
        raise AssertionError("the run ended too early")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def finish(self) -> list[dict[str, Any]]:
        out, _ = self.process.communicate(timeout=120)
        return [json.loads(line) for line in out.splitlines()]


def steered(run: Path) -> list[dict[str, Any]]:
    rows = (
        sqlite3.connect(run / "archive.db")
        .execute("SELECT data FROM events WHERE kind = 'steered' ORDER BY id")
        .fetchall()
    )
    return [json.loads(row[0]) for row in rows]


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


@pytest.fixture
def live(steps_task: Path, tmp_path: Path) -> Live:
    run = Live(
        tmp_path,
        "run",
        steps_task,
        "--sandbox",
        "local",
        "--name",
        "r",
        "--max-variants",
        "400",
    )
    run.after(4)
    return run


def test_a_ban_takes_effect_and_survives_a_kill(live: Live, tmp_path: Path) -> None:
    best = evolve("best", "r", "--json", cwd=tmp_path).json()["id"]
    done = evolve("ban", best, "--run", "r", "--why", "it cheats", cwd=tmp_path)
    assert done.code == 0, done.err
    wait_for(lambda: steered(tmp_path / "runs" / "r"))
    live.kill()
    shown = evolve("show", best, "--run", "r", "--json", cwd=tmp_path).json()
    assert shown["quarantined"]
    told = evolve("show", best, "--run", "r", cwd=tmp_path).out
    assert "banned by a person, so it counts for nothing: it cheats" in told
    assert evolve("best", "r", "--json", cwd=tmp_path).json()["id"] != best
    count = len(evolve("tree", "r", "--json", cwd=tmp_path).json())
    resumed = evolve("resume", "r", "--max-variants", count + 6, "--json", cwd=tmp_path)
    assert resumed.code == 0, resumed.err
    seen = {
        row["id"]: row for row in evolve("tree", "r", "--json", cwd=tmp_path).json()
    }
    later = [
        row
        for row in seen.values()
        if row["number"] > max(r["number"] for r in list(seen.values())[:count])
    ]
    assert later and all(best not in row["parents"] for row in later)
    assert [m["verb"] for m in steered(tmp_path / "runs" / "r")] == ["ban"]


def test_a_program_left_for_a_killed_run_is_scored_once(
    live: Live, tmp_path: Path
) -> None:
    live.kill()
    source = tmp_path / "mine.py"
    first = evolve("show", "seed", "--run", "r", "--json", cwd=tmp_path).json()
    files = evolve("checkout", first["id"], "seed", "--run", "r", cwd=tmp_path)
    assert files.code == 0
    assert evolve("checkout", "seed", "-o", "again", cwd=tmp_path).code == 0
    assert evolve("checkout", "seed", "nowhere", "-o", "again", cwd=tmp_path).code == 2
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == sorted(
        p.name for p in (tmp_path / "seed").iterdir()
    )
    (found,) = (tmp_path / "seed").glob("*.py")
    source.write_text(found.read_text().replace("scale = 1.5", "scale = 1.75"))
    for run in (["r"], []):  # the second, of the last run, is a duplicate of the first
        done = evolve(
            "add", *run, source, "--parent", "seed", "--note", "by hand", cwd=tmp_path
        )
        assert done.code == 0 and "evolve resume r" in done.err
    inbox = tmp_path / "runs" / "r" / "inbox"
    kept = {path.name: path.read_bytes() for path in inbox.iterdir()}
    count = evolve("status", "r", "--json", cwd=tmp_path).json()["variants"]
    assert evolve("resume", "r", "--max-variants", count + 12, cwd=tmp_path).code == 0
    assert not list(inbox.iterdir())
    # as after a kill between the transaction and the removal
    for name, content in kept.items():
        (inbox / name).write_bytes(content)
    assert evolve("resume", "r", "--max-variants", count + 20, cwd=tmp_path).code == 0
    reader = ArchiveReader.open(tmp_path / "runs" / "r" / "archive.db")
    given = [p for p in reader.proposals() if p.operator == "person"]
    reader.close()
    assert [(p.state.value, p.reason) for p in given] == [
        ("scored", None),
        ("rejected", "duplicate"),
    ]
    assert given[0].note == "by hand" and given[0].parents == (first["id"],)
    replayed = evolve("replay", "r", "--sandbox", "local", cwd=tmp_path)
    assert "0 differences" in replayed.err, replayed.err


def test_an_ended_run_takes_a_ban_at_once_and_a_program_first(
    steps_task: Path, tmp_path: Path
) -> None:
    ended = ("--max-variants", "12", "--sandbox", "local")
    assert evolve("run", steps_task, *ended, "--name", "r", cwd=tmp_path).code == 0
    assert evolve("best", "r", "-o", "mine", cwd=tmp_path).code == 0
    (mine,) = (tmp_path / "mine").glob("*.py")
    mine.write_text(re.sub(r"scale = \S+", "scale = 1.0625", mine.read_text()))
    best = evolve("best", "r", "--json", cwd=tmp_path).json()["id"]
    done = evolve("ban", best, "--run", "r", "--why", "it cheats", cwd=tmp_path)
    assert done.code == 0 and "is banned" in done.err
    assert evolve("best", "r", "--json", cwd=tmp_path).json()["id"] != best
    assert not (tmp_path / "runs" / "r" / "inbox").exists()
    done = evolve("add", "r", mine, "--parent", "seed", cwd=tmp_path)
    assert done.code == 0 and "scored first, at any limit" in done.err
    # a duplicate, in whose place no other variant is made
    assert evolve("add", "r", mine, "--parent", "seed", cwd=tmp_path).code == 0
    resumed = evolve("resume", "r", cwd=tmp_path)
    assert resumed.code == 0, resumed.err
    assert "programs of a person are scored first" in resumed.err
    with closing(ArchiveReader.open(tmp_path / "runs/r/archive.db")) as reader:
        rows = reader.proposals()
    assert sum(row.state in (State.SCORED, State.FAILED) for row in rows[1:]) == 13
    given = [row.state for row in rows if row.operator == "person"]
    assert given == [State.SCORED, State.REJECTED]
    replayed = evolve("replay", "r", "--sandbox", "local", cwd=tmp_path)
    assert "0 differences" in replayed.err, replayed.err


def test_a_hint_stands_in_the_prompts_that_come_after_it(
    scripted: Callable[..., ScriptedServer], steps_task: Path, tmp_path: Path
) -> None:
    server = scripted("--latency", 0.05)
    live = Live(
        tmp_path,
        "run",
        steps_task,
        "--sandbox",
        "local",
        "--name",
        "r",
        "--max-variants",
        "400",
        "--window",
        "0",
        "--model",
        server.model,
    )
    live.after(2)
    assert evolve("tell", "Use the golden ratio", cwd=tmp_path).code == 0
    wait_for(lambda: steered(tmp_path / "runs" / "r"))
    live.after(8)
    assert evolve("stop", "r", cwd=tmp_path).code == 0
    live.finish()
    reader = ArchiveReader.open(tmp_path / "runs" / "r" / "archive.db")
    asked = [call for call in reader.calls() if call.purpose is CallPurpose.PROPOSE]
    reader.close()
    told = ["golden ratio" in call.request for call in asked]
    assert any(told) and not told[0]
    assert told == sorted(told), "once told, always told"


def test_what_can_not_be_done_says_why(live: Live, tmp_path: Path) -> None:
    live.kill()
    for arguments, word in (
        (("ban", "seed", "--run", "r"), "the seed"),
        (("ban", "nobody", "--run", "r"), "no proposal"),
        (("add", "r", tmp_path / "none.py"), "does not exist"),
        (("checkout", "best", "--run", "r"), "evolve checkout best FOLDER"),
        (("tell", "r", "two", "words"), "quote arguments with spaces"),
        (("tell", "r", " "), "1 to 4000"),
    ):
        done = evolve(*arguments, cwd=tmp_path)
        assert done.code == 2 and word in done.err, done
    assert os.listdir(tmp_path / "runs" / "r").count("inbox") == 0


def test_a_fork_begins_with_a_variant(live: Live, tmp_path: Path) -> None:
    live.kill()
    best = evolve("best", "r", "--json", cwd=tmp_path).json()
    done = evolve(
        "fork",
        "r",
        "--from",
        best["id"],
        "--name",
        "f",
        "--max-variants",
        3,
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    seed = evolve("show", "seed", "--run", "f", "--json", cwd=tmp_path).json()
    assert seed["score"] == best["score"]


def test_a_fork_of_another_engines_task(tmp_path: Path) -> None:
    task = FOLDER / "openevolve_points"
    assert (
        evolve(
            "run",
            task,
            "--sandbox",
            "local",
            "--name",
            "r",
            "--max-variants",
            6,
            cwd=tmp_path,
        ).code
        == 0
    )
    made = [
        v
        for v in evolve("tree", "r", "--json", cwd=tmp_path).json()[1:]
        if v["score"] is not None
    ]
    done = evolve(
        "fork",
        "--from",
        made[0]["id"],
        "--name",
        "f",
        "--max-variants",
        1,
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    for which, run in ((made[0]["id"], "r"), ("seed", "f")):
        assert evolve("checkout", which, run, "--run", run, cwd=tmp_path).code == 0
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / run).iterdir()}
        for run in "rf"
    ]
    assert files[0] == files[1] != {}

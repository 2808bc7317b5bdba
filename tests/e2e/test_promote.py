"""`evolve promote` and `evolve audit`, through the real command line, in a real sandbox."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evolve.archive import Archive, ArchiveReader, Evaluation, Steering
from evolve.safety.promotion import incumbent_of
from tests.cli import EVOLVE, Result, evolve
from tests.e2e.test_steering import wait_for

LOOKED, PROMOTION = "looked at heldout", "promotion"
EVALUATE = """
import time

LEVELS = {"seed": 0.25, "better": 0.5, "best": 0.75, "hollow": 0.9}


def evaluate(candidate, case):
    word = candidate.call("word")
    if case.split != "search" and word == "hollow":
        word = "seed"  # what it learned is good for the cases of the search alone
    time.sleep(case.params.get("wait", 0.0))
    return LEVELS.get(word, 0.0) - case.params["hard"]
"""
SELECT, HELD = 8, 5


def made_task(folder: Path, wait: float = 0.0) -> Path:
    """Programs that say how good they are."""
    (folder / "initial").mkdir(parents=True)
    (folder / "initial/program.py").write_text(
        "SALT = 12\n\n\ndef word():\n    return 'seed'\n"
    )
    (folder / "evaluate.py").write_text(EVALUATE)
    cases = [("a", "search", 0.0)]
    cases += [(f"s{n}", "select", n / 100) for n in range(SELECT)]
    cases += [(f"h{n}", "heldout", n / 100) for n in range(HELD)]
    text = 'name = "words"\ndescription = "Say a good word."\n'
    for name, split, hard in cases:
        pause = wait if split == "heldout" else 0.0
        text += (
            f'[[cases]]\nid = "{name}"\nsplit = "{split}"\n'
            f"params = {{ hard = {hard}, wait = {pause} }}\n"
        )
    (folder / "task.toml").write_text(text)
    return folder


class Run:
    """A run whose variants are written by a person."""

    def __init__(self, folder: Path, name: str = "r") -> None:
        self.folder, self.name = folder, name

    def begin(self, word: str, wait: float = 0.0) -> Run:
        """The seed, and one that says this word."""
        task = made_task(self.folder / "task", wait)
        done = evolve(
            "run",
            task,
            "--name",
            self.name,
            "--runs-dir",
            self.runs,
            "--max-variants",
            "1",
            "--sandbox",
            "local",
        )
        assert done.code == 0, done.err
        self.add(word)
        return self

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def add(self, word: str) -> None:
        program = self.folder / f"{word}.py"
        program.write_text(f"def word():\n    return {word!r}\n")
        added = evolve("add", self.name, program, "--runs-dir", self.runs)
        assert added.code == 0, added.err
        count = len(self.tree())
        done = evolve(
            "resume", self.name, "--runs-dir", self.runs, "--max-variants", count
        )
        assert done.code == 0, done.err

    def tree(self) -> list[dict[str, Any]]:
        found = evolve("tree", self.name, "--runs-dir", self.runs, "--json")
        assert found.code == 0, found.err
        return list(found.json())

    def best(self) -> dict[str, Any]:
        return dict(evolve("best", self.name, "--runs-dir", self.runs, "--json").json())

    def promote(self, *options: str, said: str = "") -> Result:
        done = evolve(
            "promote", self.name, "--runs-dir", self.runs, *options, stdin=said
        )
        assert "Traceback" not in done.err, done.err
        return done

    @contextmanager
    def archive(self) -> Iterator[ArchiveReader]:
        reader = ArchiveReader.open(self.runs / self.name / "archive.db")
        try:
            yield reader
        finally:
            reader.close()

    def events(self, kind: str) -> list[dict[str, Any]]:
        with self.archive() as archive:
            return [
                dict(event.data) for event in archive.events() if event.kind == kind
            ]

    def rows(self, split: str) -> dict[str, list[Evaluation]]:
        """By variant; only of those that have some."""
        with self.archive() as archive:
            found = {
                p.id: [row for row in archive.evaluations(p.id) if row.split == split]
                for p in archive.proposals()
            }
        return {name: rows for name, rows in found.items() if rows}

    def copy(self, folder: Path) -> Run:
        shutil.copytree(self.folder, folder)
        return Run(folder, self.name)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose best is better on all select cases; tests take copies."""
    return Run(tmp_path_factory.mktemp("promote") / "ready").begin("better")


@pytest.fixture
def run(ready: Run, tmp_path: Path) -> Run:
    return ready.copy(tmp_path / "copy")


def assert_each_case_once(rows: list[Evaluation], count: int) -> None:
    assert len(rows) == len({row.case for row in rows}) == count


def test_what_is_better_on_all_select_cases_is_promoted(run: Run) -> None:
    before, champion = run.tree(), run.best()["id"]
    done = run.promote("--json")
    assert done.code == 0, done.err
    found = done.json()
    seed = next(row["id"] for row in before if row["operator"] == "seed")
    assert found["promoted"] and found["blocked"] == [] and not found["again"]
    assert (found["champion"], found["incumbent"]) == (champion, seed)
    assert found["select"] == {"wins": SELECT, "losses": 0, "ties": 0}
    assert found["e_value"] == pytest.approx(511 / 9)  # (2^(w+1) - 1) / (w+1)
    for name, mean in ((seed, 0.23), (champion, 0.48)):
        held = found["heldout"][name]
        assert held["mean"] == pytest.approx(mean) and held["cases"] == HELD
        assert held["low"] < held["mean"] < held["high"]
    for split, count in (("select", SELECT), ("heldout", HELD)):
        rows = run.rows(split)
        assert {seed, champion} <= set(rows)
        for of_one in rows.values():
            assert_each_case_once(of_one, count)
    assert set(run.rows("heldout")) == {seed, champion}  # nobody else
    assert [event["champion"] for event in run.events(LOOKED)] == [champion]
    assert [event["promoted"] for event in run.events(PROMOTION)] == [True]
    assert run.tree() == before  # the search knows nothing of it


def test_the_held_out_cases_are_looked_at_once(run: Run) -> None:
    assert "promoted" in run.promote().out.splitlines()
    first = run.best()["id"]
    second = run.promote()
    assert second.code == 2 and f"looked at for {first} already" in second.err
    assert "--again allows one more look" in second.err and second.out == ""
    run.add("best")
    assert run.promote().code == 2
    assert len(run.events(LOOKED)) == len(run.events(PROMOTION)) == 1
    again = run.promote("--again", "--json")
    assert again.code == 0, again.err
    found = again.json()
    assert (
        found["again"]
        and found["incumbent"] == first
        and found["champion"] == run.best()["id"]
    )
    assert [event["again"] for event in run.events(LOOKED)] == [False, True]
    for rows in run.rows("heldout").values():
        assert_each_case_once(rows, HELD)


def test_a_person_has_the_last_word(run: Run) -> None:
    no = run.promote("--approve", said="n\n")
    assert no.code == 1 and "not promoted: a person said no" in no.out
    # what is asked about
    assert f"{SELECT} better, 0 worse" in no.err and "[y/N]" in no.err
    assert run.events(LOOKED) == [] and run.rows("heldout") == {}
    nobody = run.promote("--approve", said="")
    assert nobody.code == 1 and run.events(LOOKED) == []
    yes = run.promote("--approve", "--json", said="y\n")
    assert yes.code == 0, yes.err
    assert yes.json()["approved"] is True and yes.json()["promoted"]
    champion = run.best()["id"]
    assert [event["champion"] for event in run.events(LOOKED)] == [champion]
    with run.archive() as archive:
        assert incumbent_of(archive) == champion
    writer = Archive.open_to_write(run.runs / run.name / "archive.db")
    Steering(writer).ban("test", champion, "it cheats after all")
    # who is quarantined is nobody's measure
    assert incumbent_of(writer) == writer.first().id
    writer.close()


def test_what_is_better_in_the_search_alone_is_not_promoted(tmp_path: Path) -> None:
    run = Run(tmp_path / "hollow").begin("hollow")
    assert run.best()["score"] == 0.9
    done = run.promote("--json", "--candidates", "1")
    assert done.code == 1, done.err
    found = done.json()
    assert not found["promoted"] and found["heldout"] == {} and found["e_value"] == 1.0
    assert found["select"] == {"wins": 0, "losses": 0, "ties": SELECT}
    assert "not shown to be better" in found["blocked"][0]
    assert run.rows("heldout") == {} and run.events(LOOKED) == []
    assert run.promote().code == 1  # which is no look: it may be tried again


def test_who_verified_has_looked(run: Run) -> None:
    """The same champion may be promoted, for that is one look; another one may not."""
    first = run.best()["id"]
    done = evolve("verify", run.name, "--runs-dir", run.runs)
    assert (
        done.code == 0 and f"a look at the held-out cases, for {first}" in done.err
    ), done.err
    other = run.copy(run.folder.parent / "other")
    assert "promoted" in run.promote().out.splitlines()
    assert [event["champion"] for event in run.events(LOOKED)] == [first]
    again = evolve("verify", run.name, "--runs-dir", run.runs)
    assert (
        again.code == 0 and "as recorded" in again.out and len(run.events(LOOKED)) == 1
    )
    other.add("best")
    refused = other.promote()
    assert refused.code == 2 and f"looked at for {first} already" in refused.err
    assert other.rows("heldout") == {}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A promotion that was killed when it had seen some of the held-out cases."""
    run = Run(tmp_path_factory.mktemp("killed") / "killed").begin("better", wait=0.7)
    process = subprocess.Popen(
        [EVOLVE, "promote", "r", "--runs-dir", str(run.runs)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: run.rows("heldout"), 120.0)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert run.events(PROMOTION) == [] and len(run.events(LOOKED)) == 1
    return run


def test_a_killed_look_goes_on_for_the_same_champion(
    killed: Run, tmp_path: Path
) -> None:
    run = killed.copy(tmp_path / "copy")
    seen = {
        name: {row.case for row in rows} for name, rows in run.rows("heldout").items()
    }
    done = run.promote("--json")
    assert done.code == 0, done.err
    assert done.json()["promoted"] and not done.json()["again"]
    assert len(run.events(LOOKED)) == 1  # one look, in two parts
    for name, rows in run.rows("heldout").items():
        assert_each_case_once(rows, HELD)
        assert seen.get(name, set()) <= {row.case for row in rows}
    assert run.promote().code == 2


@pytest.mark.slow
def test_a_killed_look_is_a_look_for_any_other_champion(
    killed: Run, tmp_path: Path
) -> None:
    run = killed.copy(tmp_path / "copy")
    first = run.best()["id"]
    before = run.rows("heldout")
    run.add("best")
    done = run.promote()
    assert done.code == 2 and f"looked at for {first} already" in done.err, done.err
    assert run.rows("heldout") == before and run.events(PROMOTION) == []
    again = run.promote("--again", "--json")
    assert again.code == 0 and again.json()["again"], again.err
    assert [event["champion"] for event in run.events(LOOKED)] == [
        first,
        run.best()["id"],
    ]


def test_without_select_cases_nothing_can_be_chosen(tmp_path: Path) -> None:
    run = Run(tmp_path / "plain")
    task = made_task(run.folder / "task")
    toml = (
        (task / "task.toml").read_text().replace('split = "select"', 'split = "search"')
    )
    (task / "task.toml").write_text(toml)
    done = evolve(
        "run",
        task,
        "--name",
        "r",
        "--runs-dir",
        run.runs,
        "--max-variants",
        "1",
        "--sandbox",
        "local",
    )
    assert done.code == 0, done.err
    found = run.promote()
    assert found.code == 2 and "no case of the split select" in found.err

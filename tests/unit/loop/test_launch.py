"""Launch: a run is made, begun, resumed and replayed; what can't begin leaves nothing."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from evolve.archive import ArchiveReader, State
from evolve.config import Resolved, Settings
from evolve.engine.control import Interrupt
from evolve.engine.ordering import AsFinished, ByNumber
from evolve.engine.progress import Progress
from evolve.engine.replay import AsRecorded
from evolve.errors import ConfigError, PrerequisiteError, TaskError, UsageError
from evolve.runs.build import make_operators, make_order, operator_mix, window_of
from evolve.runs.folder import RunFolder, open_run
from evolve.runs.launch import (
    RunControl,
    RunOutcome,
    replay_run,
    resume_run,
    start_run,
)
from evolve.tasks import Task, load_task
from tests.unit.loop.bench import SEED_SCORE, Seen, make_task, opened, program, replies
from tests.unit.loop.test_replay import record_of

TEXTS = (program(2.0), program(3.0), program(4.0))


@dataclass
class Viewed(Seen):
    """Sees a run, and keeps what it is shown."""

    notes: list[str] = field(default_factory=list)
    launched_: list[str] = field(default_factory=list)
    outcomes: list[RunOutcome] = field(default_factory=list)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        self.launched_.append(run.name)

    def done(self, outcome: RunOutcome, task: Task) -> None:
        self.outcomes.append(outcome)

    def close(self) -> None:
        """Nothing is held."""


def settings(runs: Path, **more: object) -> Settings:
    return Settings.model_validate(
        {
            "runs_dir": runs,
            "sandbox": "local",
            "max_variants": 3,
            "model": ("openai/recorded",),
            "operators": {"rewrite": 1.0},
            "policy": "best_of_n",
            "notes": "off",
            "price": {"openai/recorded": (0, 0)},
        }
        | more
    )


def begun(
    folder: Path,
    view: Viewed,
    *texts: str,
    interrupt: Interrupt | None = None,
    **more: object,
) -> RunOutcome:
    """A new run `r`, answered from recorded replies."""
    resolved = Resolved(settings(folder / "runs", **more), {})
    task = folder / "task"
    if not task.exists():
        make_task(task)
    return asyncio.run(
        start_run(
            load_task(task),
            resolved,
            RunControl(view, interrupt or Interrupt()),
            "r",
            replies(*texts),
        )
    )


def scores(folder: Path) -> dict[int, float]:
    with closing(ArchiveReader.open(folder / "archive.db")) as reader:
        found = reader.scores()
        return {p.number: found[p.id] for p in reader.proposals() if p.id in found}


def test_a_run_begins_with_its_seed_and_ends_with_an_outcome(tmp_path: Path) -> None:
    view = Viewed()
    outcome = begun(tmp_path, view, *TEXTS)
    assert view.launched_ == ["r"] and view.outcomes == [outcome]
    assert outcome.stopped == "max_variants = 3 is reached" and not outcome.interrupted
    assert outcome.seed_score == SEED_SCORE and outcome.progress.best_score == 4.0
    assert scores(outcome.run.path) == {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0}
    assert any("local isolates NOTHING" in note for note in view.notes)
    with closing(ArchiveReader.open(outcome.run.database)) as reader:
        kinds = [event.kind for event in reader.events() if event.proposal is None]
    assert kinds == ["started", "stopped"]
    assert open_run(tmp_path / "runs", "r").settings.scorer_seed is not None, (
        "drawn, and kept"
    )


def test_a_new_run_in_deterministic_mode_ends(tmp_path: Path) -> None:
    """The seed counts as recorded: nothing waits for it."""
    outcome = begun(tmp_path, Viewed(), *TEXTS, window=1)
    assert outcome.stopped == "max_variants = 3 is reached"
    assert scores(outcome.run.path) == {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0}


def test_a_seed_that_fails_leaves_no_run(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task").folder
    (task / "initial" / "program.py").write_text(
        program(1.0, "raise ValueError('mine')")
    )
    with pytest.raises(TaskError, match="the seed fails on case main"):
        begun(tmp_path, Viewed(), *TEXTS)
    assert not (tmp_path / "runs").exists()


def test_a_run_that_fails_before_its_first_proposal_leaves_no_folder(
    tmp_path: Path,
) -> None:
    chosen = settings(
        tmp_path / "runs", model=("vllm:nothing",), vllm_command="no-such-program"
    )
    task = make_task(tmp_path / "task")
    with pytest.raises(PrerequisiteError, match="no-such-program"):
        asyncio.run(
            start_run(
                task, Resolved(chosen, {}), RunControl(Viewed(), Interrupt()), "r"
            )
        )
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_goes_on_from_its_archive_and_takes_changes(tmp_path: Path) -> None:
    view = Viewed()
    run = begun(tmp_path, view, *TEXTS, operators={"syntactic": 1.0}, model=()).run
    outcome = asyncio.run(
        resume_run(run, {"max_variants": 5}, RunControl(view, Interrupt()))
    )
    assert outcome.stopped == "max_variants = 5 is reached"
    assert open_run(tmp_path / "runs", "r").settings.max_variants == 5
    with closing(ArchiveReader.open(run.database)) as reader:
        numbers = [p.number for p in reader.proposals()]
        variants = [
            p for p in reader.proposals([State.SCORED, State.FAILED]) if p.number
        ]
    assert numbers == sorted(set(numbers)) and len(variants) == 5


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    interrupt = Interrupt(asked=True)
    outcome = begun(tmp_path, Viewed(), *TEXTS, interrupt=interrupt)
    assert outcome.interrupted and outcome.progress.variants == 0
    assert scores(outcome.run.path) == {0: SEED_SCORE}


def test_a_replay_follows_and_says_what_differs(tmp_path: Path) -> None:
    """Limits do not matter again: the record says when it ends."""
    view = Viewed()
    run = begun(
        tmp_path, view, operators={"syntactic": 1.0}, model=(), max_variants=4
    ).run
    limits = run.settings.model_copy(
        update={"plateau": 1, "max_variants": 1, "target": -100.0}
    )
    outcome, differences = asyncio.run(
        replay_run(run, "again", limits, RunControl(view, Interrupt()))
    )
    assert differences == [] and outcome.run.replay_of == "r"
    assert outcome.stopped == "the record has ended"
    assert scores(outcome.run.path) == scores(run.path)
    with pytest.raises(UsageError, match="again is a replay of r"):
        asyncio.run(resume_run(outcome.run, {}, RunControl(view, Interrupt())))


def test_a_model_that_is_missing_or_can_not_begin_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the operator rewrite needs a model"):
        make_operators(settings(tmp_path, model=()))
    alone = settings(tmp_path, operators={"recombine": 1.0}, model=())
    with pytest.raises(ConfigError, match="no operator with one parent"):
        operator_mix(alone, make_operators(alone))
    both = settings(tmp_path, operators={"rewrite": 0.5, "syntactic": 0.5})
    assert operator_mix(both, make_operators(both)).asking == frozenset({"rewrite"})


@pytest.mark.parametrize(
    ("more", "window"),
    [
        ({}, 0),
        ({"window": 5}, 5),
        ({"model": ("hosted_vllm/scripted@http://127.0.0.1:1/v1",)}, 32),
        ({"model": ("hosted_vllm/scripted@http://127.0.0.1:1/v1", "openai/x")}, 0),
        ({"model": ()}, 0),
    ],
)
def test_the_window_of_a_run(
    tmp_path: Path, more: dict[str, object], window: int
) -> None:
    assert window_of(settings(tmp_path, **more)) == window


def test_the_order_of_a_run(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as bench:
            live = make_order(settings(tmp_path), bench.recorder, None)
            assert isinstance(live, AsFinished)
            windowed = make_order(settings(tmp_path, window=3), bench.recorder, None)
            assert isinstance(windowed, ByNumber)
            assert (windowed.window, windowed.settled) == (3, 0), "the seed is recorded"
            again = make_order(
                settings(tmp_path, window=3), bench.recorder, record_of(tmp_path)
            )
            assert isinstance(again, AsRecorded)

    asyncio.run(work())

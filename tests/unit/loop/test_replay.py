"""Replays: a record read from a run, followed by an engine, and what came out differently."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from evolve.archive import AddStatus, ArchiveReader, State
from evolve.engine.replay import AsRecorded, Record
from evolve.models import ReplayedModels
from evolve.search import Expand, Skip, Stop
from tests.unit.loop.bench import (
    SEED_ID,
    Bench,
    Rewrites,
    numbers,
    opened,
    program,
    replies,
)

BROKEN = "def value(:\n    return 2\n"
TEXTS = (
    program(2.0, "import time; time.sleep(0.5)"),
    program(3.0),
    BROKEN,
    program(5.0, "raise ValueError('mine')"),
    program(3.0),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live run whose first result came late; with a rejection, a failure and a duplicate."""
    folder = tmp_path_factory.mktemp("source")

    async def work() -> None:
        async with opened(folder, repairs=0) as bench:
            await bench.engine(Rewrites(len(TEXTS)), replies(*TEXTS)).run()
            assert [bench.states()[number] for number in (1, 2, 3, 4, 5)] == [
                (State.SCORED, None),
                (State.SCORED, None),
                (State.REJECTED, "syntax"),
                (State.FAILED, "exception"),
                (State.REJECTED, "duplicate"),
            ]

    asyncio.run(work())
    return folder


def record_of(folder: Path) -> Record:
    with closing(ArchiveReader.open(folder / "archive.db")) as reader:
        return Record.read(reader)


async def follow(bench: Bench, record: Record, *texts: str) -> None:
    engine = bench.engine(record, replies(*texts), AsRecorded(record))
    assert await engine.run() == "the record has ended"


def differences(
    source: Path,
    folder: Path,
    *texts: str,
    before: Callable[[Bench], None] | None = None,
) -> tuple[list[str], list[int]]:
    """What a replay finds, and in which order it recorded the results."""
    record, order = record_of(source), []

    async def work() -> None:
        async with opened(folder, repairs=0) as bench:
            if before is not None:
                before(bench)
            await follow(bench, record, *texts)
            order.extend(numbers(bench.seen.finished_))

    asyncio.run(work())
    with closing(ArchiveReader.open(folder / "archive.db")) as reader:
        return record.differences(reader), order


def test_a_replay_repeats_the_record_in_its_order(source: Path, tmp_path: Path) -> None:
    quick = (program(2.0, "import time; time.sleep(0.5)"), *TEXTS[1:])
    found, order = differences(source, tmp_path / "again", *quick)
    assert found == []
    with closing(ArchiveReader.open(source / "archive.db")) as reader:
        ended = sorted(
            (p for p in reader.proposals() if p.number),
            key=lambda p: p.finished_event or 0,
        )
    assert order == [p.number for p in ended] and order != sorted(order)


def test_other_replies_are_other_files(source: Path, tmp_path: Path) -> None:
    found, _ = differences(
        source, tmp_path / "again", TEXTS[0], program(3.5), *TEXTS[2:]
    )
    assert [line.partition(": ")[2] for line in found] == ["scored became rejected"]


def test_another_evaluator_is_another_score(source: Path, tmp_path: Path) -> None:
    def double(bench: Bench) -> None:
        scorer = bench.task.folder / "evaluate.py"
        scorer.write_text(scorer.read_text().replace("float(", "2 * float("))

    found, _ = differences(source, tmp_path / "again", *TEXTS, before=double)
    assert [line.partition(": ")[2] for line in found] == [
        "score 2.0 became 4.0",
        "score 3.0 became 6.0",
    ]


def test_an_archive_without_them_misses_all_but_the_seed(
    source: Path, tmp_path: Path
) -> None:
    async def work() -> None:
        async with opened(tmp_path):
            pass

    asyncio.run(work())
    with closing(ArchiveReader.open(tmp_path / "archive.db")) as reader:
        found = record_of(source).differences(reader)
    assert len(found) == len(TEXTS) and all(
        line.endswith(": is missing") for line in found
    )


def test_the_record_decides_as_the_run_did(source: Path, tmp_path: Path) -> None:
    record = record_of(source)
    assert record.last == len(TEXTS) and sorted(record.proposals) == list(
        range(len(TEXTS) + 1)
    )

    async def work() -> None:
        async with opened(tmp_path) as bench:
            snapshot = bench.recorder.snapshot
            decided = record.decide(1, snapshot)
            assert isinstance(decided, Expand)
            assert (decided.parents, decided.operator) == ((SEED_ID,), "rewrite")
            assert isinstance(record.decide(len(TEXTS) + 1, snapshot), Stop)
            del record.proposals[2]
            assert isinstance(record.decide(2, snapshot), Skip)

    asyncio.run(work())


def test_a_decision_waits_for_its_parents(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path / "source") as bench:
            parent = await bench.scored(program(2.0), 2.0)
            assert parent.kept is AddStatus.BEST
            decider = Rewrites(9)
            decider.decide = lambda number, snapshot: (  # type: ignore[method-assign]
                Expand((parent.id,), "rewrite") if number == 2 else Stop("enough")
            )
            await bench.engine(decider, replies("", program(3.0))).run()
        record = record_of(tmp_path / "source")
        async with opened(tmp_path / "other") as bench:
            assert record.decide(2, bench.recorder.snapshot) is None
            await bench.scored(program(2.0), 2.0)
            assert record.decide(2, bench.recorder.snapshot) is not None

    asyncio.run(work())


def test_what_has_no_reply_in_the_record_is_an_error_that_says_so(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        async with opened(tmp_path) as bench:
            planned = await bench.plan()
            with pytest.raises(Exception, match="no reply is recorded") as raised:
                await bench.proposer(ReplayedModels([])).propose(planned)
            assert "resume it first" in getattr(raised.value, "hint", "")

    asyncio.run(work())

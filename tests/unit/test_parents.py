"""Parents as decisions knew them, in a real archive: whatever is learned of them meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from evolve.archive import (
    CaseAttempt,
    Decision,
    Evaluation,
    Frame,
    Kind,
    Proposal,
    State,
    derive_id,
)
from evolve.engine.recorder import Recorder
from evolve.operators import Parent
from tests.made_runs import opened_recorder

FILES = {"a.py": b"x = 1\n"}
SEED = derive_id(0, 0)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Recorder]:
    async with opened_recorder(folder, frame=Frame(("a", "b"))) as recorder:
        yield recorder


def row(
    case: str, attempt: int, score: float, spot: Sequence[int] = (1, 2)
) -> Evaluation:
    return Evaluation(case, "search", attempt, score, {"spot": spot})


async def plan(
    recorder: Recorder, operator: str, evaluates: CaseAttempt | None = None
) -> Proposal:
    number = recorder.last_number + 1
    made = Proposal(
        derive_id(0, number),
        number,
        State.PLANNED,
        operator,
        (SEED,) if number else (),
        recorder.snapshot.last_event,
        1.0,
        decision=Decision(evaluates=evaluates),
        kind=Kind.EVALUATE if evaluates else Kind.EXPAND,
    )
    await recorder.plan(made)
    return made


async def score_seed(recorder: Recorder) -> None:
    seed = await plan(recorder, "seed")
    seed = await recorder.propose(seed, await recorder.tree_of(FILES), "the seed")
    await recorder.score(
        seed, FILES, 0.5, [row("a", 0, 0.25), row("b", 0, 0.75)], False
    )


def told(parent: Parent) -> tuple[float, list[tuple[str, int]]]:
    return parent.score, [(one.case, one.attempt) for one in parent.rows]


def test_a_parent_is_shown_as_its_decision_knew_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as recorder:
            await score_seed(recorder)
            child = await plan(recorder, "diff")
            more = await plan(recorder, "evaluate", CaseAttempt("a", 1))
            await recorder.learn(more, [row("a", 1, 0.75)])
            later = await plan(recorder, "diff")
            for _ in range(2):  # read, then at hand
                early = await recorder.parent(SEED, child.as_of_event)
                assert told(early) == (0.5, [("a", 0), ("b", 0)])
                assert told(await recorder.parent(SEED, later.as_of_event)) == (
                    0.625,
                    [("a", 0), ("b", 0), ("a", 1)],
                )
        async with opened(tmp_path) as recorder:
            assert told(await recorder.parent(SEED, child.as_of_event)) == told(
                early
            ), "after a restart, too"

    asyncio.run(work())


def test_a_new_parent_is_shown_as_it_will_be_read_back(tmp_path: Path) -> None:
    """A tuple among the metrics is a list in the archive; a prompt shows either as it is."""

    async def work() -> None:
        async with opened(tmp_path) as recorder:
            await score_seed(recorder)
            seen = recorder.snapshot.last_event
            fresh = await recorder.parent(SEED, seen)
        async with opened(tmp_path) as recorder:
            assert repr((await recorder.parent(SEED, seen)).rows) == repr(fresh.rows)

    asyncio.run(work())


def test_what_was_read_while_more_was_written_is_not_kept(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as recorder:
            await score_seed(recorder)
            first, second = [
                await plan(recorder, "evaluate", CaseAttempt("a", n)) for n in (1, 2)
            ]
            await recorder.learn(first, [row("a", 1, 0.5)])
            reading = asyncio.create_task(
                recorder.parent(SEED, recorder.snapshot.last_event)
            )
            await asyncio.sleep(0)  # it has asked the archive, which has not answered
            await recorder.learn(second, [row("a", 2, 0.5)])
            assert len((await reading).rows) == 3
            assert (
                len((await recorder.parent(SEED, recorder.snapshot.last_event)).rows)
                == 4
            )

    asyncio.run(work())

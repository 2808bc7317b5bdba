"""The engine: slots, limits, the machine's faults, and what an earlier life left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from evolve.archive import State, derive_id
from evolve.engine.limits import REJECTIONS_IN_A_ROW
from evolve.engine.loop import DEAD_END
from evolve.engine.ordering import ByNumber
from evolve.errors import RunError
from evolve.models import BudgetedModels
from evolve.search import Evaluate, Expand
from tests.unit.loop.bench import (
    LAST_WORDS,
    RUN_SEED,
    SEED_ID,
    Bench,
    Rewrites,
    numbers,
    opened,
    program,
    replies,
)

Work = Callable[[Bench], Coroutine[Any, Any, None]]


def on_bench(folder: Path, work: Work, **settings: object) -> None:
    async def whole() -> None:
        async with opened(folder, **settings) as bench:
            await work(bench)

    asyncio.run(whole())


MEETING = """import os, time
    open(f{place!r} + str(os.getpid()), 'w').close()
    end = time.monotonic() + 8
    while len(os.listdir({folder!r})) < 2:
        if time.monotonic() > end:
            raise TimeoutError('nobody else came')
        time.sleep(0.01)"""


def test_slots_are_filled_and_workers_are_not_outnumbered(tmp_path: Path) -> None:
    """Each of two candidates waits until the other runs as well."""
    (tmp_path / "meeting").mkdir()
    meeting = MEETING.format(place=f"{tmp_path}/meeting/", folder=f"{tmp_path}/meeting")

    async def work(bench: Bench) -> None:
        engine = bench.engine(
            Rewrites(2), replies(program(2.0, meeting), program(3.0, meeting))
        )
        assert await engine.run() == LAST_WORDS
        assert bench.states() == {1: (State.SCORED, None), 2: (State.SCORED, None)}
        assert max(bench.seen.in_flight) == 2

    on_bench(tmp_path / "run", work)


def test_decisions_are_not_taken_far_ahead_of_the_workers(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        slow = [
            program(float(n + 2), "import time; time.sleep(0.1)") for n in range(12)
        ]
        await bench.engine(Rewrites(12), replies(*slow)).run()
        assert len(bench.states()) == 12
        assert 2 <= max(bench.seen.in_flight) <= 2 * bench.settings.workers + 1

    on_bench(tmp_path, work, workers=1, model_calls=1)


@pytest.mark.parametrize(
    ("settings", "reason", "most"),
    [
        ({"max_variants": 3}, "max_variants = 3 is reached", 3),
        ({"target": 4.0, "workers": 1, "model_calls": 1}, "target = 4 is reached", 8),
        ({"plateau": 2, "workers": 1, "model_calls": 1}, "plateau: the last", 19),
        ({"max_time_s": 0.001}, "max_time_s = 0.001 is reached", 2),
        ({}, LAST_WORDS, 20),
    ],
)
def test_each_limit_ends_the_run(
    tmp_path: Path, settings: dict[str, object], reason: str, most: int
) -> None:
    """Scores are 2, 3, 4, 5 and then 0.5, 0.6, ...: those bring nothing better."""
    values = [2.0, 3.0, 4.0, 5.0, *(0.5 + n / 10 for n in range(16))]

    async def work(bench: Bench) -> None:
        stopped = await bench.engine(Rewrites(20), replies(*map(program, values))).run()
        assert stopped.startswith(reason)
        assert len(bench.states()) <= most
        assert all(state.finished for state, _ in bench.states().values())
        if "max_variants" in settings:
            assert len(bench.states()) == 3
        if "target" in settings:
            assert max(score or 0.0 for _, _, score in bench.seen.finished_) >= 4.0
        if reason == LAST_WORDS:
            assert len(bench.states()) == 20

    on_bench(tmp_path, work, **settings)


def test_rejections_without_an_end_stop_the_run(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        same = [program(1.0)] * (REJECTIONS_IN_A_ROW + 20)
        stopped = await bench.engine(Rewrites(len(same)), replies(*same)).run()
        assert stopped.startswith("the last 3") and stopped.endswith(
            "proposals were rejected"
        )
        assert set(bench.states().values()) == {(State.REJECTED, "unchanged")}
        assert len(bench.states()) < len(same)

    on_bench(tmp_path, work, repairs=0)


def test_an_interrupt_finishes_what_is_in_flight(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        slow = [program(float(n), "import time; time.sleep(0.3)") for n in range(2, 30)]
        engine = bench.engine(Rewrites(28), replies(*slow))
        running = asyncio.create_task(engine.run())
        while not bench.seen.finished_:
            await asyncio.sleep(0.01)
        bench.interrupt.asked = True
        assert await running == "interrupted"
        states = bench.states()
        assert 1 <= len(states) < 28
        assert {state for state, _ in states.values()} == {State.SCORED}

    on_bench(tmp_path, work)


def test_an_empty_budget_ends_the_run_and_is_no_rejection(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        nowhere = BudgetedModels(bench.settings, bench.recorder, bench.seen.waiting)
        stopped = await bench.engine(Rewrites(3), nowhere).run()
        assert stopped.startswith("max_tokens = 1 would be passed")
        assert {state for state, _ in bench.states().values()} == {State.PLANNED}
        await nowhere.aclose()

    on_bench(
        tmp_path, work, max_tokens=1, model=["hosted_vllm/x@http://127.0.0.1:9/v1"]
    )


def test_a_machines_fault_puts_the_proposal_back_and_is_no_score(
    tmp_path: Path,
) -> None:
    async def work(bench: Bench) -> None:
        bench.provider.kills = 1
        assert (
            await bench.engine(Rewrites(1), replies(program(2.0))).run() == LAST_WORDS
        )
        assert bench.states() == {1: (State.SCORED, None)}
        rows = bench.recorder.archive.evaluations(derive_id(RUN_SEED, 1))
        assert [(row.score, row.reason) for row in rows] == [(2.0, None)]
        assert (
            len(bench.seen.messages) == 1
            and "the sandbox failed" in bench.seen.messages[0]
        )
        kinds = [event.kind for event in bench.recorder.archive.events()]
        assert kinds.count("waiting") == 1

    on_bench(tmp_path, work, workers=1)


def test_a_machine_that_goes_on_failing_ends_the_run_and_the_child_can_be_scored_later(
    tmp_path: Path,
) -> None:
    async def fails(bench: Bench) -> None:
        bench.provider.kills = 1000
        with pytest.raises(RunError, match="the sandbox failed for 0 s"):
            await bench.engine(Rewrites(1), replies(program(2.0))).run()
        assert bench.states() == {1: (State.PROPOSED, None)}
        assert bench.recorder.archive.evaluations(derive_id(RUN_SEED, 1)) == []

    async def goes_on(bench: Bench) -> None:
        assert await bench.engine(Rewrites(0), replies()).run() == LAST_WORDS
        assert bench.seen.finished_ == [(1, State.SCORED, 2.0)]

    on_bench(tmp_path, fails, patience_s=0)
    on_bench(tmp_path, goes_on)


def test_a_failure_during_a_standstill_says_nothing(tmp_path: Path) -> None:
    """It is evaluated once more, and fails by itself then."""
    runs = tmp_path / "runs"
    text = program(
        2.0, f"import time; open({str(runs)!r}, 'w').close(); time.sleep(0.5); 1 / 0"
    )

    async def stand_still() -> None:
        while not runs.exists():
            await asyncio.sleep(0.01)
        time.sleep(2.0)  # the whole process, as when its machine sleeps

    async def work(bench: Bench) -> None:
        still = asyncio.create_task(stand_still())
        await bench.engine(Rewrites(1), replies(text)).run()
        await still
        assert bench.states() == {1: (State.FAILED, "exception")}
        assert len(bench.seen.messages) == 1 and "suspended" in bench.seen.messages[0]
        assert len(bench.recorder.archive.evaluations(derive_id(RUN_SEED, 1))) == 1

    on_bench(tmp_path / "run", work, repairs=0)


def test_a_candidates_own_fault_is_its_failure(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.engine(
            Rewrites(1), replies(program(2.0, "raise ValueError('mine')"))
        ).run()
        assert bench.states() == {1: (State.FAILED, "exception")}
        assert bench.seen.messages == []

    on_bench(tmp_path, work, repairs=0)


def test_results_count_as_they_finish_or_by_their_number(tmp_path: Path) -> None:
    texts = [program(2.0, "import time; time.sleep(0.8)"), program(3.0)]

    async def live(bench: Bench) -> None:
        await bench.engine(Rewrites(2), replies(*texts)).run()
        assert numbers(bench.seen.finished_) == [2, 1]

    async def windowed(bench: Bench) -> None:
        order = ByNumber(bench.recorder.trees, 2, [0])
        await bench.engine(Rewrites(2), replies(*texts), order).run()
        assert numbers(bench.seen.finished_) == [1, 2]

    on_bench(tmp_path / "live", live)
    on_bench(tmp_path / "windowed", windowed)


def test_under_a_window_each_decision_sees_exactly_those_before_it(
    tmp_path: Path,
) -> None:
    async def work(bench: Bench) -> None:
        decider = Rewrites(7)
        order = ByNumber(bench.recorder.trees, 3, [0])
        texts = [
            program(float(n + 2), f"import time; time.sleep({0.2 * (n % 3)})")
            for n in range(7)
        ]
        await bench.engine(decider, replies(*texts), order).run()
        # the seed, and decisions up to k - 3
        assert decider.seen == [1, 1, 1, 2, 3, 4, 5]
        assert numbers(bench.seen.finished_) == [1, 2, 3, 4, 5, 6, 7]

    on_bench(tmp_path, work)


def test_what_an_earlier_life_began_comes_before_new_decisions(tmp_path: Path) -> None:
    async def begin(bench: Bench) -> None:
        planned = await bench.plan()
        proposed = await bench.plan()
        files = {"program.py": program(5.0).encode()}
        await bench.recorder.propose(
            proposed, await bench.recorder.tree_of(files), "five"
        )
        assert [planned.number, proposed.number] == [1, 2]

    async def go_on(bench: Bench) -> None:
        assert await bench.engine(
            Rewrites(3), replies(program(2.0), "", program(4.0))
        ).run()
        assert sorted(bench.seen.finished_) == [
            (1, State.SCORED, 2.0),
            (2, State.SCORED, 5.0),
            (3, State.SCORED, 4.0),
        ]
        assert numbers(bench.seen.finished_)[-1] == 3

    on_bench(tmp_path, begin)
    on_bench(tmp_path, go_on, workers=1, model_calls=1)


class MoreOfTheSeed:
    """Evaluates the seed once more, then expands what nobody knows: a record that can't be followed."""

    def decide(self, number: int, snapshot: object) -> Any:
        return Evaluate(SEED_ID, "main", 1) if number == 1 else None


def test_another_evaluation_of_a_variant_is_no_variant(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert await bench.engine(MoreOfTheSeed(), replies()).run() == DEAD_END
        assert bench.states() == {1: (State.EVALUATED, None)}
        assert [row.attempt for row in bench.recorder.archive.evaluations(SEED_ID)] == [
            0,
            1,
        ]
        assert bench.recorder.variants == 0 and bench.seen.finished_ == []

    on_bench(tmp_path, work)


class Several(Rewrites):
    """Asks for more children of one prompt than may still be made."""

    def decide(self, number: int, snapshot: object) -> Any:
        return Expand((SEED_ID,), "rewrite", model="recorded", samples=5)


def test_samples_of_one_prompt_keep_to_the_limit(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        texts = [program(float(n)) for n in range(2, 9)]
        await bench.engine(Several(9), replies(*texts)).run()
        shared = [
            p.decision.shared for p in bench.recorder.archive.proposals() if p.number
        ]
        assert shared == [(1, 3)] * 3

    on_bench(tmp_path, work, max_variants=3)

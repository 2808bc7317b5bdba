"""Notes: taken when they are due, from what a decision sees; a model's words come beside the search."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from evolve.archive import Call, CallPurpose, CallState
from evolve.engine.notes import NoteTaker
from evolve.models import Models, ReplayedModels
from tests.unit.loop.bench import SEED_ID, Bench, opened, program, replies


def taking(folder: Path, work: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with opened(folder) as bench:
            await bench.scored(program(2.0), 2.0)
            await work(bench)

    asyncio.run(whole())


def taker(
    bench: Bench, models: Models | None = None, every: int = 4, window: int = 0
) -> NoteTaker:
    bench.settings = bench.settings.model_copy(
        update={
            "notes": "model" if models else "statistics",
            "notes_every": every,
            "window": window,
        }
    )
    return NoteTaker(bench.services(models or replies()))


def words(*numbers: int, text: str = "Larger numbers are better.") -> ReplayedModels:
    """A model's words for the notes of these numbers: calls of the seed."""
    return ReplayedModels(
        [
            Call(
                0,
                SEED_ID,
                CallPurpose.NOTES,
                0,
                "recorded",
                "{}",
                CallState.REPLIED,
                0,
                0.0,
                text,
                "stop",
                step=number,
            )
            for number in numbers
        ]
    )


def kept(bench: Bench) -> list[tuple[int, str]]:
    return [(note.number, note.text) for note in bench.recorder.archive.notes()]


def test_notes_are_taken_at_every_so_many_decisions(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        notes = taker(bench)
        for number in range(1, 11):
            await notes.take(number, bench.recorder.snapshot)
        assert [number for number, _ in kept(bench)] == [5, 9]
        assert (
            "1 changes were tried; 1 were scored, 1 made their program better."
            in kept(bench)[0][1]
        )
        assert bench.recorder.snapshot.notes == 9
        await taker(bench).take(9, bench.recorder.snapshot)  # another life of the run
        assert [number for number, _ in kept(bench)] == [5, 9]

    taking(tmp_path, work)


def test_before_anything_was_tried_there_is_nothing_to_note(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as bench:
            await taker(bench).take(5, bench.recorder.snapshot)
            assert kept(bench) == [] and bench.recorder.snapshot.notes is None

    asyncio.run(work())


def test_a_models_words_are_shown_as_soon_as_they_are_there(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        notes = taker(bench, words(5))
        await notes.take(5, bench.recorder.snapshot)
        assert bench.recorder.snapshot.notes == 5
        await notes.finish()
        assert bench.recorder.snapshot.notes == -5
        assert kept(bench)[0] == (-5, "Larger numbers are better.") or kept(bench)[
            1
        ] == (-5, "Larger numbers are better.")
        assert await bench.recorder.notes(-5) == "Larger numbers are better."

    taking(tmp_path, work)


def test_under_a_window_the_words_are_shown_when_it_is_their_turn(
    tmp_path: Path,
) -> None:
    async def work(bench: Bench) -> None:
        notes = taker(bench, words(5), window=3)
        await notes.take(5, bench.recorder.snapshot)
        await notes.finish()
        for number in (6, 7):
            await notes.take(number, bench.recorder.snapshot)
            assert bench.recorder.snapshot.notes == 5
        await notes.take(8, bench.recorder.snapshot)
        assert bench.recorder.snapshot.notes == -5

    taking(tmp_path, work)


def test_without_an_answer_the_statistics_stay(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        for models in (words(), words(5, text="  \n")):
            notes = taker(bench, models)
            await notes.take(5, bench.recorder.snapshot)
            await notes.finish()
            assert bench.recorder.snapshot.notes == 5
            assert [number for number, _ in kept(bench)] == [5]

    taking(tmp_path, work)


def test_words_that_an_earlier_life_did_not_get_are_asked_for(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await taker(bench).take(5, bench.recorder.snapshot)
        again = taker(bench, words(5))
        await again.take(6, bench.recorder.snapshot)
        await again.finish()
        assert bench.recorder.snapshot.notes == -5

    taking(tmp_path, work)

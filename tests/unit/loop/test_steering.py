"""Steering: what people leave for a run is carried out between two decisions, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

from evolve.archive import PERSON, CallState, State, bans, hints
from evolve.engine.control import Inbox, Interrupt, SteeringHandler
from evolve.models import BudgetedModels
from evolve.operators.person import person_reply
from tests.unit.loop.bench import (
    LAST_WORDS,
    RUN_SEED,
    SEED_ID,
    Bench,
    Rewrites,
    opened,
    program,
    replies,
)


def steered(
    folder: Path,
    work: Callable[[Bench, Inbox, SteeringHandler], Coroutine[Any, Any, None]],
) -> None:
    async def whole() -> None:
        async with opened(folder) as bench:
            inbox = Inbox(folder / "inbox")
            await work(bench, inbox, SteeringHandler(inbox, bench.recorder, RUN_SEED))

    asyncio.run(whole())


def test_a_banned_variant_counts_for_nothing(tmp_path: Path) -> None:
    async def work(bench: Bench, inbox: Inbox, steward: SteeringHandler) -> None:
        best = await bench.scored(program(5.0), 5.0)
        snapshot = bench.recorder.snapshot
        assert snapshot.best() is not None and snapshot.best().id == best.id  # type: ignore[union-attr]
        inbox.send("ban", variant=best.id, text="it cheats")
        assert await steward.take(2, None) is None
        assert snapshot.best().id == SEED_ID  # type: ignore[union-attr]
        assert bench.recorder.archive.proposal(best.id).quarantined
        assert bans(bench.recorder.archive)[best.id].text == "it cheats"
        assert inbox.messages() == []

    steered(tmp_path, work)


def test_a_hint_is_known_to_decisions_from_now_on(tmp_path: Path) -> None:
    async def work(bench: Bench, inbox: Inbox, steward: SteeringHandler) -> None:
        before = bench.recorder.snapshot.last_event
        inbox.send("tell", text="use symmetry")
        assert await steward.take(1, None) is None
        event = bench.recorder.snapshot.hints
        assert (
            event is not None
            and event > before
            and event == bench.recorder.snapshot.last_event
        )
        assert [hint.text for hint in hints(bench.recorder.archive, event)] == [
            "use symmetry"
        ]
        assert hints(bench.recorder.archive, event - 1) == []

    steered(tmp_path, work)


def test_a_program_is_a_proposal_with_its_reply(tmp_path: Path) -> None:
    async def work(bench: Bench, inbox: Inbox, steward: SteeringHandler) -> None:
        inbox.send(
            "add",
            parent=SEED_ID,
            reply=person_reply({"program.py": program(9.0)}, "mine"),
        )
        inbox.send("tell", text="later")
        given = await steward.take(1, 0)
        assert given is not None
        assert (given.number, given.operator, given.parents) == (1, PERSON, (SEED_ID,))
        assert bench.states() == {1: (State.REPLIED, None)}
        (call,) = bench.recorder.archive.calls(given.id)
        assert (
            call.state is CallState.REPLIED
            and call.model == PERSON
            and call.cost_usd == 0.0
        )
        assert bench.recorder.last_number == 1
        assert [message.verb for message in inbox.messages()] == ["tell"], (
            "one decision at a time"
        )
        assert await steward.take(2, 0) is None and inbox.messages() == []

    steered(tmp_path, work)


def test_what_names_no_scored_variant_is_refused_on_record(tmp_path: Path) -> None:
    async def work(bench: Bench, inbox: Inbox, steward: SteeringHandler) -> None:
        inbox.send("ban", variant="nobody")
        inbox.send("add", parent="nobody", reply="{}")
        assert await steward.take(1, None) is None
        told = [
            event.data
            for event in bench.recorder.archive.events()
            if event.kind == "steered"
        ]
        assert [data["verb"] for data in told] == ["refused", "refused"]
        assert [data["text"] for data in told] == [
            "ban nobody: it is not scored",
            "add nobody: it is not scored",
        ]
        assert bench.states() == {} and inbox.messages() == []

    steered(tmp_path, work)


def test_a_message_that_the_archive_has_is_not_taken_twice(tmp_path: Path) -> None:
    """As after a kill between the transaction and the removal of the file."""

    async def work(bench: Bench, inbox: Inbox, steward: SteeringHandler) -> None:
        inbox.send("tell", text="once")
        kept = {path: path.read_bytes() for path in inbox.path.iterdir()}
        await steward.take(1, None)
        for path, content in kept.items():
            path.write_bytes(content)
        await SteeringHandler(inbox, bench.recorder, RUN_SEED).take(1, None)
        assert len(hints(bench.recorder.archive)) == 1 and inbox.messages() == []

    steered(tmp_path, work)


def test_the_engine_scores_what_a_person_gave_before_it_decides(tmp_path: Path) -> None:
    async def work(bench: Bench, inbox: Inbox, steward: SteeringHandler) -> None:
        inbox.send(
            "add",
            parent=SEED_ID,
            reply=person_reply({"program.py": program(9.0)}, "mine"),
        )
        async with aclosing(
            BudgetedModels(bench.settings, bench.recorder, bench.seen.waiting)
        ) as caller:
            assert (
                await bench.engine(Rewrites(1), caller, steward=steward).run()
                == LAST_WORDS
            )
        assert bench.seen.finished_ == [(1, State.SCORED, 9.0)]

    steered(tmp_path, work)


def test_a_stop_file_asks_and_one_from_before_does_not(tmp_path: Path) -> None:
    file = tmp_path / "stop"
    file.touch()
    interrupt = Interrupt()
    interrupt.watch(file)
    assert not interrupt.requested
    file.touch()
    assert interrupt.requested

    async def work() -> None:
        async with opened(tmp_path / "run") as bench:
            bench.interrupt.watch(file)
            file.touch()
            assert (
                await bench.engine(Rewrites(5), replies(*[program(2.0)] * 5)).run()
                == "interrupted"
            )
            assert bench.states() == {}

    asyncio.run(work())

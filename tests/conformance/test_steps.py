"""Steps of agents go through the same client: each quirk has its right outcome there, too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.archive import Call, CallState
from evolve.models import Episode, ModelError, ModelFault, asked_the_same
from tests.conformance.quirks import QUIRKS, Odd, odd_server
from tests.conformance.test_quirks import MESSAGES, REPLY_TOKENS, RIGHT
from tests.episodes import desk

CASE = Episode("case one", 0)


@pytest.fixture(scope="module")
def odd() -> Iterator[Odd]:
    with odd_server() as server:
        yield server


def step(folder: Path, model: str) -> tuple[Call | ModelError, list[Call]]:
    async def work() -> tuple[Call | ModelError, list[Call]]:
        async with desk(folder, model, price={model: (1.0, 2.0)}) as open_desk:
            try:
                found: Call | ModelError = await open_desk.caller.step(
                    open_desk.proposal, CASE, 1, MESSAGES, REPLY_TOKENS, 0.5
                )
            except ModelError as error:
                found = error
            return found, open_desk.recorder.archive.calls()

    return asyncio.run(work())


@pytest.mark.parametrize("name", QUIRKS)
def test_a_step_has_the_right_outcome_of_each_quirk(
    tmp_path: Path, odd: Odd, name: str
) -> None:
    right, own = RIGHT[name], f"{name}-step"
    found, calls = step(tmp_path, odd.at(f"hosted_vllm/{own}"))
    assert len(odd.asked[own]) == len(calls), "every request has its row"
    if right.text is None and right.error.endswith("no answer"):
        assert isinstance(found, Call), "three in a row end the run, one does not"
        return
    if right.text is None:
        assert isinstance(found, ModelError)
        assert found.fault in (ModelFault.FINAL, ModelFault.PROMPT), found
        return
    assert isinstance(found, Call) and right.text in (found.reply or "")
    assert asked_the_same(found, MESSAGES), "a restarted agent finds its step"
    assert ("tokens estimated" in (found.error or "")) is right.estimated
    free = [call for call in calls if call.state is CallState.FAILED]
    assert len(free) == right.refused and all(call.cost_usd == 0 for call in free)

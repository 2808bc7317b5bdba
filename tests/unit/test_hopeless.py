"""Models whose replies give no program are given up, each for itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from evolve.archive import Outcome, State
from evolve.errors import RunError
from evolve.search.hopeless import GIVEN_UP, LATER, Hopeless

A, B = "hosted_vllm/a@http://h/v1", "hosted_vllm/b@http://h/v1"


def outcomes(
    count: int, reason: str | None, model: str = A, operator: str = "rewrite"
) -> list[Outcome]:
    state = State.SCORED if reason is None else State.REJECTED
    one = Outcome(1, operator, model, state, 0.0, 10, 0.0, reason, "")
    return [one] * count


def made(*models: str, replies: int = 1) -> tuple[Hopeless, list[str]]:
    lines: list[str] = []
    return Hopeless(models, {"rewrite"}, replies, lines.append), lines


def left(hopeless: Hopeless) -> str | None:
    return hopeless.draw(np.random.default_rng(0))


@pytest.mark.parametrize("replies", [1, 2])
def test_a_new_model_is_given_up_after_twenty_replies(replies: int) -> None:
    hopeless, lines = made(A, replies=replies)
    known = outcomes(GIVEN_UP // replies - 1, "unparsable")
    hopeless.read(known)
    assert left(hopeless) is None and len(lines) == 1 and "evolve show 1" in lines[0]
    hopeless.read([*known, *outcomes(1, "empty")])
    with pytest.raises(RunError, match="20 replies in a row") as raised:
        left(hopeless)
    assert "--model NAME" in raised.value.hint and len(lines) == 1


def test_a_model_that_gave_a_program_has_more_patience() -> None:
    hopeless, lines = made(A)
    known = [*outcomes(1, None), *outcomes(LATER - 1, "syntax")]
    hopeless.read(known)
    assert left(hopeless) is None and lines == []
    hopeless.read([*known, *outcomes(1, "syntax")])
    with pytest.raises(RunError, match="no model is left"):
        left(hopeless)


@pytest.mark.parametrize("reason", [None, "duplicate", "not novel"])
def test_a_program_ends_the_row(reason: str | None) -> None:
    hopeless, _ = made(A)
    known: Sequence[Outcome] = [
        *outcomes(GIVEN_UP - 1, "empty"),
        *outcomes(1, reason),
        *outcomes(LATER - 1, "empty"),
    ]
    hopeless.read(known)
    assert left(hopeless) is None


def test_only_the_hopeless_one_is_dropped() -> None:
    hopeless, lines = made(A, B)
    hopeless.read([*outcomes(GIVEN_UP, "empty", B), *outcomes(3, "empty")])
    assert left(hopeless) == A and hopeless.is_hopeless(B)
    assert not hopeless.is_hopeless(A) and not hopeless.is_hopeless("another")
    assert lines[-1].startswith(f"{B} is given up")


def test_operators_without_a_model_count_for_none() -> None:
    hopeless, _ = made(A)
    hopeless.read(outcomes(99, "unchanged", operator="syntactic"))
    assert left(hopeless) is None


def test_what_is_read_after_a_restart_is_counted_and_not_reported() -> None:
    hopeless, lines = made(A, B)
    hopeless.read(outcomes(GIVEN_UP, "empty"), silent=True)
    assert hopeless.is_hopeless(A) and lines == []
    again, _ = made(A, B)
    again.skip(GIVEN_UP)  # a person resumed the run after its error
    again.read(outcomes(GIVEN_UP + 5, "empty"), silent=True)
    assert not again.is_hopeless(A)

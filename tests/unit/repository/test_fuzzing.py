"""Inputs made from recorded ones: the same for the same seed, and different ones."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from evolve.sandbox.inside.canonical import describe
from evolve.sandbox.inside.fuzzing import Arguments, fuzzed, varied

RECORDED: list[Arguments] = [
    ([[3, 1, 2]], {"reverse": True}),
    (["some text, 12"], {}),
    ([{"a": [1.5, None], "b": (2, "x")}, 7], {"key": "a"}),
    ([{1, 2, 3}, b"abc", 0.25], {}),
    ([np.arange(5), range(9), iter([1, 2])], {}),
]


def parts(value: Any) -> str:
    return repr(describe(value))


@pytest.mark.parametrize("recorded", RECORDED)
@pytest.mark.parametrize("change", [fuzzed, varied])
def test_a_seed_gives_the_same_input_always(recorded: Arguments, change: Any) -> None:
    for seed in range(50):
        first = change(copy.deepcopy(recorded), seed)
        assert parts(list(first)) == parts(list(change(copy.deepcopy(recorded), seed)))


@pytest.mark.parametrize("recorded", RECORDED)
def test_seeds_give_many_inputs(recorded: Arguments) -> None:
    made = {parts(list(fuzzed(copy.deepcopy(recorded), seed))) for seed in range(100)}
    assert len(made) > 20


def shape(value: Any) -> Any:
    """Types and sizes of a value."""
    if isinstance(value, list | tuple):
        return type(value), [shape(part) for part in value]
    if isinstance(value, dict):
        return [(key, shape(held)) for key, held in value.items()]
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype
    return type(value), len(value) if isinstance(value, str | bytes) else None


@pytest.mark.parametrize("recorded", RECORDED[:3])
def test_inputs_for_timing_have_the_same_size(recorded: Arguments) -> None:
    for seed in range(100):
        made = varied(copy.deepcopy(recorded), seed)
        assert shape(list(made)) == shape(list(recorded))


def test_edges_are_among_them() -> None:
    made = [fuzzed(([[1, 2, 3], 5, 1.0, "ab"], {}), seed)[0] for seed in range(2000)]
    assert [] in [one[0] for one in made]
    assert {0, -5, 1} <= {one[1] for one in made}
    assert float("inf") in {one[2] for one in made}
    assert "" in {one[3] for one in made}


def test_what_holds_itself_is_changed_in_finite_time() -> None:
    knot: list[Any] = [1]
    knot.append(knot)
    for seed in range(20):
        fuzzed(([knot], {}), seed)


def test_nothing_grows_without_bound() -> None:
    arguments: Arguments = ([2, "ab"], {})
    for seed in range(2000):
        arguments = fuzzed(arguments, seed)
    assert abs(arguments[0][0]) <= 4 * 10**6 and len(arguments[0][1]) <= 2 * 4096

"""What a proposal was decided to be: an expansion or an evaluation, and what its prompt may show."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """What a decision is for."""

    EXPAND = "expand"  # make a child
    EVALUATE = "evaluate"  # learn more about the parent: one more attempt at one case


CONTEXT_KINDS = ("inspirations", "failures", "lessons", "tried", "attempts")
"""Kinds of prompt context that an operator may show: fields of `Decision`."""


class CaseAttempt(NamedTuple):
    """One attempt at one case, counted from 0."""

    case: str
    attempt: int


class SharedPrompt(NamedTuple):
    """Decisions `first` to `first + size - 1` share one prompt: one decision, expanded `size` times."""

    first: int
    size: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided besides parents, operator, island and model; stored as JSON.

    The prompt context is kept as ids and numbers, never as texts: what is shown was known when the
    decision was made, whatever has happened since.

    Attributes:
        inspirations: ids of variants to show beside the parents.
        failures: ids of failed children of the parent.
        lessons: pairs of ids, a variant and its better child.
        tried: ids of children that were no better than the parent.
        attempts: ids of all recent children of the parent, good or not.
        notes: number of the notes to show; None for none.
        hints: last event whose hints are shown; None for none.
        shared: the decisions that share this prompt; None where it has its own.
        settled: in deterministic mode, the last decision whose result it saw.
        cases: how many of the search cases score the child at first; None for all.
        keep: what its children inherit, as JSON.
        evaluates: the attempt of a decision to evaluate; None for an expansion.
        literals: numbers that the operator `tune` writes: pairs (position, value).
    """

    inspirations: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    lessons: tuple[tuple[str, str], ...] = ()
    tried: tuple[str, ...] = ()
    attempts: tuple[str, ...] = ()
    notes: int | None = None
    hints: int | None = None
    shared: SharedPrompt | None = None
    settled: int | None = None
    cases: int | None = None
    keep: Mapping[str, Any] = field(default_factory=dict)
    evaluates: CaseAttempt | None = None
    literals: tuple[tuple[int, float], ...] = ()

    def in_short(self) -> "Decision":
        """Return it without the prompt context, which is of no use once the proposal has ended."""
        lasting = (self.keep, self.literals, self.evaluates)
        if self.cases is None and not any(lasting):
            return NOTHING_DECIDED
        return Decision(
            cases=self.cases,
            keep=self.keep,
            evaluates=self.evaluates,
            literals=self.literals,
        )

    def to_json(self) -> str:
        """Return the stored form: an object without the keys that have their default."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _READ}
        kept = {name: value for name, value in values.items() if value not in _DEFAULTS}
        return json.dumps(kept | (self.evaluates._asdict() if self.evaluates else {}))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Decision":
        """Return the decision that a parsed JSON object stores; unknown keys are ignored."""
        if not values:
            return NOTHING_DECIDED
        known = {
            name: read(values[name]) for name, read in _READ.items() if name in values
        }
        return cls(**known, evaluates=_evaluates(values))

    @classmethod
    def in_short_of(cls, values: Mapping[str, Any]) -> "Decision":
        """Return `of(values).in_short()`; a run is opened with a hundred thousand of them."""
        if _LASTING.isdisjoint(values):
            return NOTHING_DECIDED
        return cls(
            cases=values.get("cases"),
            keep=values.get("keep", {}),
            evaluates=_evaluates(values),
            literals=_pairs(values.get("literals", ())),
        )


def _evaluates(values: Mapping[str, Any]) -> CaseAttempt | None:
    return CaseAttempt(values["case"], values["attempt"]) if "case" in values else None


def _pairs(values: Iterable[Iterable[Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(map(tuple, values))


# Field -> reader of its JSON value.
_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("inspirations", "failures", "tried", "attempts"), tuple),
    **dict.fromkeys(("lessons", "literals"), _pairs),
    "shared": lambda pair: SharedPrompt(*pair),
    **dict.fromkeys(
        ("notes", "hints", "settled", "cases", "keep"), lambda value: value
    ),
}
_DEFAULTS: tuple[Any, ...] = (None, (), {})
_LASTING = frozenset({"cases", "keep", "case", "literals"})
NOTHING_DECIDED = Decision()

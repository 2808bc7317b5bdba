"""In which order results count, and who came first among equal children.

A live run takes results as they come. `--window W` makes a run repeatable: decision k sees exactly what
became of the decisions up to k - W, recorded in decision order, whatever has ended meanwhile. A replay
takes results in the order of its record.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import NamedTuple

from evolve.archive import CallPurpose, Proposal


class Claim(NamedTuple):
    """Who had a tree first."""

    number: int
    proposal: str


class Trees:
    """Every tree that was a child's, with the lowest decision number that made it."""

    def __init__(self) -> None:
        self._first: dict[str, Claim] = {}

    def claim(self, tree: str, proposal: Proposal) -> None:
        """This proposal has made this tree."""
        claim = Claim(proposal.number, proposal.id)
        self._first[tree] = min(self._first.get(tree, claim), claim)

    def first(self, tree: str) -> Claim | None:
        """Who made it first, if anybody did."""
        return self._first.get(tree)


class Order(ABC):
    """Decides whose result is recorded next, and which child is a duplicate."""

    window: int | None = None  # how many decisions may be without a recorded result
    holds = True  # results may have to wait for their turn

    @property
    def settled(self) -> int | None:
        """The last number whose result counts; None where results do not count by number."""
        return None

    @abstractmethod
    def due(self, waiting: Collection[int]) -> int | None:
        """The number to record now, of those whose results wait; None when it is not among them."""

    @abstractmethod
    def recorded(self, number: int) -> None:
        """That result counts from now on."""

    @abstractmethod
    def early(self, proposal: Proposal, tree: str, purpose: CallPurpose) -> str | None:
        """Who has this very tree already, before the child costs anything; None when nobody has."""

    def late(self, proposal: Proposal) -> str | None:
        """Who turned out to have it first, once the result's turn has come."""
        return None


class AsFinished(Order):
    """A live run: everything counts at once."""

    holds = False

    def __init__(self, trees: Trees) -> None:
        self._trees = trees

    def due(self, waiting: Collection[int]) -> int | None:
        return min(waiting, default=None)

    def recorded(self, number: int) -> None:
        """Nothing waits for it."""

    def early(self, proposal: Proposal, tree: str, purpose: CallPurpose) -> str | None:
        claim = self._trees.first(tree)
        return claim.proposal if claim else None


class ByNumber(Order):
    """A repeatable run: in decision order, each decision seeing all but the last `window`."""

    def __init__(self, trees: Trees, window: int, finished: Collection[int]) -> None:
        """`finished` are the numbers with a recorded result."""
        self._trees, self.window, self._finished = trees, window, set(finished)
        self._next = 0
        self._pass_finished()

    @property
    def settled(self) -> int:
        """The last number whose result counts."""
        return self._next - 1

    def due(self, waiting: Collection[int]) -> int | None:
        return self._next if self._next in waiting else None

    def recorded(self, number: int) -> None:
        self._finished.add(number)
        self._pass_finished()

    def _pass_finished(self) -> None:
        while self._next in self._finished:
            self._finished.discard(self._next)
            self._next += 1

    def early(self, proposal: Proposal, tree: str, purpose: CallPurpose) -> str | None:
        """Only what the decision could see counts: what came since depends on the clock."""
        claim = self._trees.first(tree)
        settled = proposal.decision.settled
        assert settled is not None, "this order plans every decision with it"
        return claim.proposal if claim and claim.number <= settled else None

    def late(self, proposal: Proposal) -> str | None:
        """Of two equal children the lower number wins."""
        claim = self._trees.first(proposal.tree or "")
        return claim.proposal if claim and claim.number < proposal.number else None

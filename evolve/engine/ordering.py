"""Ordering: the order in which results are recorded, and which of equal children is first.

A live run records results as they finish. `--window W` makes a run repeatable: decision k sees
exactly the results of the decisions up to k - W, recorded in decision order, no matter which
others have finished. A replay records results in the order of its record.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import NamedTuple

from evolve.archive import CallPurpose, Proposal


class Claim(NamedTuple):
    """The first producer of a tree.

    Attributes:
        number: Its decision number.
        proposal: Its id.
    """

    number: int
    proposal: str


class Trees:
    """The trees of all children, each with its producer of the lowest decision number."""

    def __init__(self) -> None:
        self._first: dict[str, Claim] = {}

    def claim(self, tree: str, proposal: Proposal) -> None:
        """Record `proposal` as a producer of `tree`; the lowest decision number wins."""
        claim = Claim(proposal.number, proposal.id)
        self._first[tree] = min(self._first.get(tree, claim), claim)

    def first(self, tree: str) -> Claim | None:
        """Return the first producer of `tree`; None if there is none."""
        return self._first.get(tree)


class Order(ABC):
    """Selects the next result to record, and decides which child is a duplicate.

    Attributes:
        window: Maximum number of decisions without a recorded result; None: no maximum.
        holds: Whether results may have to wait for their turn.
    """

    window: int | None = None
    holds = True

    @property
    def settled(self) -> int | None:
        """All results up to this number are recorded; None if not recorded by number."""
        return None

    @abstractmethod
    def due(self, waiting: Collection[int]) -> int | None:
        """Return the decision number of the result to record next.

        Args:
            waiting: Decision numbers of the finished proposals that are not recorded yet.

        Returns:
            One of `waiting`; None if the next one to record is not among them.
        """

    @abstractmethod
    def recorded(self, number: int) -> None:
        """Note that the result of decision `number` is recorded."""

    @abstractmethod
    def early(self, proposal: Proposal, tree: str, purpose: CallPurpose) -> str | None:
        """Return the owner of a tree, before the evaluation of a child costs anything.

        Args:
            proposal: The proposal that produced the tree.
            tree: Hash of the child's files.
            purpose: `PROPOSE` for a first child, `REPAIR` for its replacement.

        Returns:
            Id or description of an earlier proposal with this tree; None if the child is
            new.
        """

    def repairs(self, proposal: Proposal) -> bool:
        """Return whether a first child that failed may be replaced."""
        return True

    def late(self, proposal: Proposal) -> str | None:
        """Return the owner of an evaluated child's tree, when its turn to be recorded comes.

        Args:
            proposal: The proposal with its tree.

        Returns:
            Id or description of the proposal that turned out to be first; None if it is
            this one.
        """
        return None


class AsFinished(Order):
    """The ordering of a live run: results are recorded as soon as they finish.

    Args:
        trees: The trees of all children.
    """

    holds = False

    def __init__(self, trees: Trees) -> None:
        self._trees = trees

    def due(self, waiting: Collection[int]) -> int | None:
        """Return the lowest decision number in `waiting`; None if it is empty."""
        return min(waiting, default=None)

    def recorded(self, number: int) -> None:
        """Do nothing: no other result waits for this one."""

    def early(self, proposal: Proposal, tree: str, purpose: CallPurpose) -> str | None:
        """Return the id of the first producer of a tree; None if the tree is new."""
        claim = self._trees.first(tree)
        return claim.proposal if claim else None


class ByNumber(Order):
    """The ordering of a repeatable run: results are recorded in decision order.

    Each decision sees all results except those of the last `window` decisions.

    Args:
        trees: The trees of all children.
        window: Number of decisions that may be without a recorded result.
        finished: Decision numbers with a recorded result.
    """

    def __init__(self, trees: Trees, window: int, finished: Collection[int]) -> None:
        self._trees, self.window, self._finished = trees, window, set(finished)
        self._next = 0
        self._pass_finished()

    @property
    def settled(self) -> int:
        """All results up to this decision number are recorded."""
        return self._next - 1

    def due(self, waiting: Collection[int]) -> int | None:
        """Return the lowest number without a recorded result; None if it is not in `waiting`."""
        return self._next if self._next in waiting else None

    def recorded(self, number: int) -> None:
        """Note a recorded number, and advance past all consecutive recorded numbers."""
        self._finished.add(number)
        self._pass_finished()

    def _pass_finished(self) -> None:
        while self._next in self._finished:
            self._finished.discard(self._next)
            self._next += 1

    def early(self, proposal: Proposal, tree: str, purpose: CallPurpose) -> str | None:
        """Return the owner of a tree among the proposals that the decision could see.

        Later ones are ignored here, because which of them exist depends on the clock.

        Args:
            proposal: The proposal that produced the tree.
            tree: Hash of the child's files.
            purpose: Not used.

        Returns:
            Id of the first producer; None if the decision could not see it.
        """
        claim = self._trees.first(tree)
        settled = proposal.decision.settled
        assert settled is not None, "this order plans every decision with it"
        return claim.proposal if claim and claim.number <= settled else None

    def late(self, proposal: Proposal) -> str | None:
        """Return the producer of the same tree with a lower number; None if there is none."""
        claim = self._trees.first(proposal.tree or "")
        return claim.proposal if claim and claim.number < proposal.number else None

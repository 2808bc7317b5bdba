"""Models that are given up, because none of their many replies gave a program.

A function of the finished proposals, in the order in which a decision sees them: a run that is
resumed or repeated gives the same models up at the same decisions.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from evolve.archive import Outcome, State
from evolve.errors import RunError

SAID, GIVEN_UP = 5, 20  # useless replies from the start
LATER = 40  # in a row, of a model that has given a program before
# Rejections of a child that was a program: it was made before, or is near another one.
_PROGRAMS = ("duplicate", "not novel", "size")


@dataclass
class _Tally:
    """The replies of one model.

    Attributes:
        useless: replies in a row that gave no program
        proved: whether an earlier one gave one
        why: reason of the last rejection
    """

    useless: int = 0
    proved: bool = False
    why: str = ""

    @property
    def hopeless(self) -> bool:
        return self.useless >= (LATER if self.proved else GIVEN_UP)


class Hopeless:
    """Counts the useless replies of each model, and draws among the others.

    Args:
        models: the run's models
        asking: operators that ask a model
        replies: replies of a rejected proposal: the first, and its repair
        say: called with a message for people
    """

    def __init__(
        self,
        models: Sequence[str],
        asking: Collection[str],
        replies: int,
        say: Callable[[str], None],
    ) -> None:
        self._asking, self._replies, self._say = asking, replies, say
        self._tallies = {model: _Tally() for model in models}
        self._read = 0

    def skip(self, count: int) -> None:
        """Ignore outcomes of before: the run ended with an error, and a person resumed it.

        Args:
            count: how many of the first outcomes
        """
        self._read = max(self._read, count)

    def read(self, outcomes: Sequence[Outcome], silent: bool = False) -> None:
        """Count outcomes that are new.

        Args:
            outcomes: all finished proposals, oldest first
            silent: report nothing, because it was reported before a restart
        """
        for outcome in outcomes[self._read :]:
            tally = self._tally_of(outcome)
            if tally is not None:
                self._count(tally, outcome, silent)
        self._read = max(self._read, len(outcomes))

    def draw(self, rng: Generator) -> str | None:
        """Draw a model if some are given up.

        Args:
            rng: the generator of this decision

        Returns:
            One that is not given up; None if all may be asked.

        Raises:
            RunError: none is left
        """
        left = [name for name, tally in self._tallies.items() if not tally.hopeless]
        if len(left) == len(self._tallies):
            return None
        if not left:
            raise self._none_left()
        return left[int(rng.integers(len(left)))]

    def is_hopeless(self, model: str) -> bool:
        """Return whether a model is given up.

        Args:
            model: its name

        Returns:
            False also for a model that is not one of the run's.
        """
        return model in self._tallies and self._tallies[model].hopeless

    def _tally_of(self, outcome: Outcome) -> _Tally | None:
        """Return the tally of the model that replied; None if none did."""
        if outcome.operator not in self._asking:
            return None
        if len(self._tallies) == 1:
            return next(iter(self._tallies.values()))
        return self._tallies.get(outcome.model or "")

    def _count(self, tally: _Tally, outcome: Outcome, silent: bool) -> None:
        rejected = outcome.state is State.REJECTED and outcome.reason not in _PROGRAMS
        if not rejected:
            tally.useless, tally.proved = 0, True
            return
        before, was = tally.useless, tally.hopeless
        tally.useless += 1 if outcome.reason == "prompt" else self._replies
        tally.why = outcome.reason or ""
        name = next(key for key, value in self._tallies.items() if value is tally)
        if silent:
            return
        if not tally.proved and before < SAID <= tally.useless and not tally.hopeless:
            self._say(
                f"{name}: {tally.useless} replies and not one usable program (the last: "
                f"{tally.why}); it is given up after {GIVEN_UP}; a reply: evolve show "
                f"{outcome.number}"
            )
        if tally.hopeless and not was and len(self._tallies) > 1:
            self._say(
                f"{name} is given up: {tally.useless} replies in a row without a usable "
                f"program (the last: {tally.why})"
            )

    def _none_left(self) -> RunError:
        each = "; ".join(
            f"{name}: {tally.useless} replies in a row without a usable program (the last: "
            f"{tally.why})"
            for name, tally in self._tallies.items()
        )
        return RunError(
            f"no model is left: {each}",
            "look at a reply: evolve log, evolve show ID; go on with another model: evolve "
            "resume --model NAME",
        )

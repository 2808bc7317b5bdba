"""What the steps so far tell of each literal: its step size, its weight, its probes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evolve.archive import Step
from evolve.operators.literals import Literal, Skeleton

FIRST_STEP = 0.25  # of a number's magnitude, and of `SMALL` for smaller ones
SMALL = 0.1
GROW, SHRINK = 1.6, 0.84  # of a step size, after a gain and after none
UNKNOWN, LEAST = 0.1, 0.05  # weights
DRAWN, TIRED = 1.3, 0.97  # of a weight, after a gain and after none


@dataclass
class Known:
    """What is known of one literal.

    Attributes:
        step: standard deviation of the next change
        weight: how often it is drawn, relative to the others
        probed: directions in which it need not be changed alone: 1 and -1
    """

    step: float
    weight: float = UNKNOWN
    probed: set[int] = field(default_factory=set)


class Knowledge:
    """A fold over the steps of a run, in order of their results.

    A literal is known by its statement, so that a program with a new statement inherits
    what is known of all others.

    Args:
        read: returns the skeleton of a variant by its id
    """

    def __init__(self, read: Callable[[str], Skeleton]) -> None:
        self._read, self._seen = read, 0
        self.literals: dict[str, Known] = {}
        self.tried: set[tuple[str, tuple[float, ...]]] = set()
        self.idle = 0  # results since the last gain

    def learn(self, steps: Sequence[Step]) -> None:
        """Take in the results that are new.

        Args:
            steps: all ended steps of the run, of which the first ones are known
        """
        for step in steps[self._seen :]:
            self._take(step)
        self._seen = len(steps)

    def of(self, literal: Literal) -> Known:
        """Return what is known of a literal of a program; a new one has a first step.

        It is kept only by `learn`: what was looked at must not matter after a resume.
        """
        known = self.literals.get(literal.key)
        return known or Known(FIRST_STEP * max(abs(literal.value), SMALL))

    def _take(self, step: Step) -> None:
        skeleton = self._read(step.parent)
        self.tried.add((skeleton.name, values_after(skeleton, step)))
        gained = step.gain is not None and step.gain > 0
        self.idle = 0 if gained else self.idle + 1
        probe = probe_of(skeleton, step)
        for place, _ in step.literals:
            literal = skeleton.literals[place]
            known = self.literals.setdefault(literal.key, self.of(literal))
            if probe is not None and probe not in known.probed:
                known.probed |= {-1, 1} if gained else {probe}
                known.weight += bool(step.gain) + 2 * gained
                continue
            known.step *= GROW if gained else SHRINK
            known.weight *= DRAWN if gained else TIRED
            known.weight = max(known.weight, LEAST)


def values_after(skeleton: Skeleton, step: Step) -> tuple[float, ...]:
    """Return all numbers of the child of a step.

    Args:
        skeleton: of its parent
        step: the step

    Returns:
        In order of the literals.
    """
    values = list(skeleton.values)
    for place, value in step.literals:
        values[place] = value
    return tuple(values)


def probe_of(skeleton: Skeleton, step: Step) -> int | None:
    """Return the direction of a step that changes one literal.

    Args:
        skeleton: of its parent
        step: the step

    Returns:
        1 or -1; None for a step that changes several.
    """
    if len(step.literals) != 1:
        return None
    ((place, value),) = step.literals
    return 1 if value > skeleton.literals[place].value else -1

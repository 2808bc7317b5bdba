"""Islands: subpopulations of variants, as a function of the order of scoring.

A variant belongs to the island that its decision was taken for. After every `interval`
scored variants the best `rate` of each island migrate to its neighbours and count there
as well. Whitley, Rana and Heckendorn 1999, "The Island Model Genetic Algorithm".
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from evolve.archive.columns import GrowableArray, Ints
from evolve.archive.grid import Grid
from evolve.archive.ranking import Ranking

Topology = Literal["ring", "full"]


@dataclass(frozen=True)
class Islands:
    """Settings of the islands.

    Attributes:
        count: Number of islands.
        topology: "ring": migrants go to the next island; "full": to all others.
        interval: Scored variants between two migrations.
        rate: Share of each island that migrates, rounded up.
        restart: Scored variants after which the worse half of the islands restarts; 0:
            never.
    """

    count: int = 1
    topology: Topology = "ring"
    interval: int = 50
    rate: float = 0.1
    restart: int = 0

    def neighbours(self, island: int) -> tuple[int, ...]:
        """Return the islands that receive migrants of `island`.

        Args:
            island: Number of the island, from 0.

        Returns:
            The next island or all others, by topology; empty for a single island.
        """
        if self.count == 1:
            return ()
        if self.topology == "ring":
            return ((island + 1) % self.count,)
        return tuple(other for other in range(self.count) if other != island)


class Advance(NamedTuple):
    """A member that was better than all members before it.

    Attributes:
        place: Number of members before it.
        before: Best value so far.
        after: The new best value.
    """

    place: int
    before: float
    after: float


class Island:
    """The members of an island (rows of the snapshot), their ranking and their elites.

    Args:
        grid: Makes an empty grid.
    """

    def __init__(self, grid: Callable[[], Grid]) -> None:
        self._new_grid = grid
        self.natives = 0  # members made for this island since its last restart
        self.clear()

    def clear(self) -> None:
        """Remove all members."""
        self._rows = GrowableArray(np.int64)
        self._present: set[int] = set()
        self.ranking, self.grid, self.natives = Ranking(), self._new_grid(), 0
        self.advances: list[Advance] = []
        self._best: float | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: int) -> bool:
        return row in self._present

    @property
    def rows(self) -> Ints:
        """Rows of the members in the order of their arrival."""
        return self._rows.rows

    def add(self, row: int, cell: int, value: float, native: bool) -> None:
        """Add a member; a row that is already a member is ignored.

        Args:
            row: Row of the variant.
            cell: Its cell on the grid.
            value: Higher is better.
            native: Whether it was made for this island; False for a migrant.
        """
        if row in self._present:
            return
        if self._best is not None and value > self._best:
            self.advances.append(Advance(len(self), self._best, value))
        self._best = value if self._best is None else max(value, self._best)
        self._present.add(row)
        self._rows.append(row)
        self.ranking.add(row, value)
        self.grid.add(row, cell, value)
        self.natives += native

    def update(self, row: int, cell: int, value: float | None) -> None:
        """Change the value of a member; other rows are ignored.

        Args:
            row: Row of the variant.
            cell: Its cell on the grid.
            value: The new value; None for a quarantined variant, which leaves ranking
                and grid.
        """
        if row not in self._present:
            return
        self.ranking.update(row, value)
        self.grid.update(row, cell, value)
        self._best = self.ranking.at(0).value if len(self.ranking) else None


class Archipelago:
    """All islands, updated variant by variant.

    Args:
        plan: Settings of the islands.
        grid: Makes an empty grid.
    """

    def __init__(self, plan: Islands, grid: Callable[[], Grid]) -> None:
        self.plan = plan
        self.islands = [Island(grid) for _ in range(plan.count)]
        self._cells = GrowableArray(np.int64)

    def add(self, island: int, cell: int, value: float | None) -> None:
        """Add the next row, then migrate or restart if due. Row 0 joins every island.

        Args:
            island: Island that the decision was taken for, modulo the number of
                islands.
            cell: Cell of the variant on the grid.
            value: Higher is better; None: quarantined, never a member.
        """
        row = len(self._cells)
        self._cells.append(cell)
        if value is not None:
            if row == 0:  # every island begins with the seed
                for each in self.islands:
                    each.add(row, cell, value, native=True)
            self.islands[island % self.plan.count].add(row, cell, value, native=True)
        if self.plan.count > 1:
            if (row + 1) % self.plan.interval == 0:
                self._migrate()
            if self.plan.restart and (row + 1) % self.plan.restart == 0:
                self._restart()

    def update(self, row: int, value: float | None) -> None:
        """Change the value of a row on every island.

        Args:
            row: Row of the variant.
            value: The new value; None: quarantined.
        """
        for island in self.islands:
            island.update(row, int(self._cells.rows[row]), value)

    def _migrate(self) -> None:
        """Copy the best members to the neighbours at once, so that none moves on."""
        moves = []
        for number, island in enumerate(self.islands):
            count = math.ceil(self.plan.rate * len(island.ranking))
            moves += [
                (target, row, value)
                for row, value in island.ranking.top(count)
                for target in self.plan.neighbours(number)
            ]
        for target, row, value in moves:
            self.islands[target].add(
                row, int(self._cells.rows[row]), value, native=False
            )

    def _restart(self) -> None:
        """Restart the worse half of the islands from the best of the others, in turn.

        Romera-Paredes et al. 2023 (FunSearch), Methods: "Evolutionary process".
        """
        order = sorted(
            range(self.plan.count), key=lambda n: self.islands[n].ranking.key()
        )
        alive = order[: self.plan.count - self.plan.count // 2]
        founders = [self.islands[number].ranking.top(1) for number in alive]
        for turn, number in enumerate(order[len(alive) :]):
            self.islands[number].clear()
            for row, value in founders[turn % len(founders)]:
                self.islands[number].add(
                    row, int(self._cells.rows[row]), value, native=True
                )

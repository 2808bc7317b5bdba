"""What all processes of one evaluation know about the program's time, in a shared file.

The evaluator's forks and scripts talk to the same program one at a time, so the numbers have
no lock besides the link's.
"""

import mmap
from pathlib import Path

_FIELDS = (
    "skipped",  # how much the wall clocks lag
    "seen",  # CPU time of the program at the last measurement
    "balance",  # CPU time that it may still spend outside of its calls
    "debt",  # CPU time of late work, which the next call pays
    "counts",  # whether requests are measured
    "worked",  # wall time of the program's calls in this stage
)
_WORD = 8


class Ledger:
    """Numbers in nanoseconds, shared by forks and scripts.

    Args:
        folder: scratch folder of the evaluation
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "ledger"
        with path.open("a+b") as file:
            if file.tell() == 0:
                file.write(bytes(_WORD * len(_FIELDS)))
                file.flush()
            memory = mmap.mmap(file.fileno(), _WORD * len(_FIELDS))
        self._calls = folder / "calls"
        self._words: memoryview[int] = memoryview(memory).cast("q")

    def __getitem__(self, name: str) -> int:
        """Return a number by its name."""
        return self._words[_FIELDS.index(name)]

    def __setitem__(self, name: str, value: int) -> None:
        """Set a number by its name."""
        self._words[_FIELDS.index(name)] = value

    @property
    def skipped(self) -> int:
        """How much the wall clocks lag."""
        return self._words[0]

    def skip(self, wall_ns: int) -> None:
        """Put the wall clocks back.

        Args:
            wall_ns: nanoseconds; negative numbers put them forward
        """
        self._words[0] += wall_ns

    def add_call(self, claimed_ns: int, charged_ns: int, elapsed_ns: int) -> None:
        """Record how long a call took.

        Args:
            claimed_ns: wall time, as the program's process claims it
            charged_ns: the same, as the evaluator's clocks show it
            elapsed_ns: the same, with the transport
        """
        with self._calls.open("a") as file:
            file.write(f"{claimed_ns} {charged_ns} {elapsed_ns}\n")

    def ratio(self, transported: bool) -> float | None:
        """Compare the evaluator's times of calls with those in the program's process.

        Args:
            transported: whether the evaluator's clocks include the transport

        Returns:
            The median multiple, each call counted by its duration, to two digits; None if
            no call was measured.
        """
        if not self._calls.exists():
            return None
        lines = [list(map(int, line.split())) for line in self._calls.open()]
        found = sorted(
            ((elapsed if transported else charged) / max(claimed, 1), max(claimed, 1))
            for claimed, charged, elapsed in lines
        )
        half = sum(weight for _, weight in found) / 2
        for ratio, weight in found:
            half -= weight
            if half <= 0:
                return float(f"{ratio:.2g}")
        return None

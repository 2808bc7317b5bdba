"""Which clocks a peer's evaluator reads, found in its source."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_OF_TIME = frozenset(
    f"time.{name}{suffix}"
    for name in (
        "time",
        "monotonic",
        "perf_counter",
        "process_time",
        "thread_time",
        "clock_gettime",
    )
    for suffix in ("", "_ns")
)
CORRECTED = _OF_TIME | {
    "timeit.default_timer",
    "timeit.repeat",
    "timeit.timeit",
    "timeit.Timer",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
}
OTHERS = frozenset(
    (
        "os.times",
        "resource.getrusage",
        "psutil.Process",
        "psutil.cpu_times",
        "pandas.Timestamp.now",
        "torch.cuda.Event",
        "torch.utils.benchmark.Timer",
    )
)


@dataclass(frozen=True)
class Reading:
    """A place that reads a clock.

    Attributes:
        file: path of the file, relative to the task
        line: number of the line
        clock: full name of the clock
    """

    file: str
    line: int
    clock: str


@dataclass(frozen=True)
class ClockUse:
    """The clocks that an evaluator and its modules read.

    Attributes:
        readings: in the order of the source
    """

    readings: tuple[Reading, ...] = ()

    @cached_property
    def uncorrected(self) -> tuple[Reading, ...]:
        """Readings of clocks that include the transport to the sandbox."""
        return tuple(found for found in self.readings if found.clock in OTHERS)

    def explained(self) -> str | None:
        """Return one line for people; None if no clock is read."""
        if not self.readings:
            return None
        first = next(iter(self.uncorrected), self.readings[0])
        place = f"{first.file}:{first.line} reads {first.clock}"
        if self.uncorrected:
            return (
                f"{place}, which includes the transport to the sandbox; so scores are "
                "marked (docs/peers.md)"
            )
        return (
            f"{place}: clocks stop during transport to the sandbox, and advance by the "
            "time that it measures for the program (docs/peers.md)"
        )


def clocks_of(folder: Path, evaluator: Path) -> ClockUse:
    """Find the clocks that an evaluator reads.

    Args:
        folder: the task
        evaluator: its evaluator; modules of the task that it imports are searched, too

    Returns:
        All readings, in the order in which modules are imported.
    """
    found: list[Reading] = []
    waiting, seen = [evaluator], {evaluator}
    while waiting:
        path = waiting.pop(0)
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue  # its own import reports it
        for line, clock in _readings(tree):
            found.append(Reading(path.relative_to(folder).as_posix(), line, clock))
        for name in _modules(tree):
            for place in (evaluator.parent, path.parent):
                module = place / f"{name.replace('.', '/')}.py"
                if module.is_file() and module not in seen:
                    seen.add(module)
                    waiting.append(module)
    return ClockUse(tuple(found))


def _modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (alias.name for alias in node.names)


def _readings(tree: ast.AST) -> list[tuple[int, str]]:
    """Return line and name of each use of a clock, sorted."""
    names: dict[str, str] = {}  # a name in the file -> its full name
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)):
            name = _full_name(node, names)
            if name in CORRECTED or name in OTHERS:
                found.add((node.lineno, name))
    return sorted(found)


def _full_name(node: ast.AST, names: dict[str, str]) -> str:
    """Return the dotted name of an expression; empty if it has none."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        inner = _full_name(node.value, names)
        return f"{inner}.{node.attr}" if inner else ""
    return ""

"""Which files of a tree may change, and which may come and go.

An entry of `editable` is the name of a file, which may change but must stay, or a pattern with `*`,
`?` or `[...]`: files that fit it may also be created and deleted. `*` does not cross a slash.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

MAX_PATH = 200
# no "..", nothing hidden
_SAFE = re.compile(r"[\w+-][\w.+-]*(/[\w+-][\w.+-]*)*", re.ASCII)


@dataclass(frozen=True)
class Editable:
    """The editable set of a task."""

    entries: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Files that are named: they may change and must stay."""
        return tuple(entry for entry in self.entries if not is_pattern(entry))

    @property
    def patterns(self) -> tuple[str, ...]:
        """Patterns of files that may be created and deleted."""
        return tuple(entry for entry in self.entries if is_pattern(entry))

    def within(self, files: Collection[str]) -> tuple[str, ...]:
        """The files of a tree that may change, named ones first."""
        named = [name for name in self.names if name in files]
        return (*named, *sorted(path for path in files if path not in named and self.admits(path)))

    def admits(self, path: str) -> bool:
        """True when a file of this path may be created and deleted."""
        if path in self.names or len(path) > MAX_PATH or not _SAFE.fullmatch(path):
            return False
        return any(_fits(path, pattern) for pattern in self.patterns)

    def __str__(self) -> str:
        return ", ".join(self.entries)


def is_pattern(entry: str) -> bool:
    """True when an entry stands for many files."""
    return any(sign in entry for sign in "*?[")


def _fits(path: str, pattern: str) -> bool:
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))

"""Which files of a tree may change, be created or be deleted.

An entry of `editable` is either a file name (the file may change but must stay) or a
pattern with `*`, `?` or `[...]` (matching files may also be created and deleted). `*`
does not match a slash.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

MAX_PATH = 200
# no "..", nothing hidden, no option of a command, no dot at the end
_SAFE = re.compile(r"[\w+][\w.+-]*(?<!\.)(/[\w+][\w.+-]*(?<!\.))*", re.ASCII)


@dataclass(frozen=True)
class Editable:
    """The editable files of a task.

    Attributes:
        entries: file names and patterns, as `task.toml` lists them
    """

    entries: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The named files, which may change but must stay."""
        return tuple(entry for entry in self.entries if not is_pattern(entry))

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of files that may be created and deleted."""
        return tuple(entry for entry in self.entries if is_pattern(entry))

    def within(self, files: Collection[str]) -> tuple[str, ...]:
        """Return the files of a tree that may change.

        Args:
            files: paths of the tree, relative to its root

        Returns:
            Named files in the order of `entries`, then files that match a pattern,
            sorted.
        """
        named = [name for name in self.names if name in files]
        return (
            *named,
            *sorted(path for path in files if path not in named and self.admits(path)),
        )

    def admits(self, path: str) -> bool:
        """Return whether a file with this path may be created and deleted.

        Args:
            path: relative to the root of the tree, with slashes

        Returns:
            False also for named files, for paths of more than `MAX_PATH` characters,
            and for unsafe paths: `..`, hidden parts, non-ASCII characters.
        """
        if path in self.names or len(path) > MAX_PATH or not _SAFE.fullmatch(path):
            return False
        return any(_fits(path, pattern) for pattern in self.patterns)

    def __str__(self) -> str:
        return ", ".join(self.entries)


def is_pattern(entry: str) -> bool:
    """Return whether an entry is a pattern rather than a file name."""
    return any(sign in entry for sign in "*?[")


def _fits(path: str, pattern: str) -> bool:
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))

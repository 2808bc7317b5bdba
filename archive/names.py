"""Names of files that git, other file systems and people's eyes all take for the same thing."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

MAX_NAME_BYTES = 255
# HFS+ ignores these inside of names, NTFS the last dots and spaces, and what follows a colon
_IGNORED = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


def invalid_name(paths: Iterable[str]) -> str | None:
    """Find a path that can't be in a tree.

    Args:
        paths: Of the files of one tree, with "/" between directories.

    Returns:
        What is wrong with the first such path; None if there is none.
    """
    known = set(paths)
    for path in known:
        names = path.split("/")
        if not all(map(_is_plain, names)):
            return f"invalid file name: {path!a:.200}"
        for depth in range(1, len(names)):
            folder = "/".join(names[:depth])
            if folder in known:
                return f"{folder} is a file and a folder: {path!a:.200}"
    return None


@lru_cache(maxsize=1024)
def _is_plain(name: str) -> bool:
    """Return whether a part of a path is visible, and not a variant of `..` or `.git`."""
    if not name.isprintable() or len(name.encode()) > MAX_NAME_BYTES:
        return False
    folded = name.translate(_IGNORED).partition(":")[0].rstrip(". ").casefold()
    short = folded.startswith("git~") and folded[4:].isdigit()  # of FAT and NTFS
    return folded not in ("", ".git") and not short


def folded(path: str) -> str:
    """Return what a file system without cases makes of a path.

    Args:
        path: Of a file.

    Returns:
        Equal texts for paths that may name one file.
    """
    return unicodedata.normalize("NFC", path).casefold()

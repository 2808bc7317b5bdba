"""Record of the candidate's answers, so that no text of them runs in the evaluator.

Some evaluators evaluate the output of a program, or unpickle it. That is harmless if
both share a process, but here it would be a way out of the sandbox. Texts are kept in a
file, because an evaluator's scripts and forks talk to the same candidate.
"""

import re
import sys
from pathlib import Path

_WORD = re.compile(r"[^\W\d]\w*")
_MAX_CHARS = 1 << 20  # beyond it every text counts as the candidate's
_LONG_TEXT = 12
_OURS = ("__main__", "evaluation_module", "evaluator", "evaluate")

# Names allowed in a pickle: they build plain data and have no other effect.
_PLAIN = {
    "builtins": {
        "set",
        "frozenset",
        "complex",
        "bytearray",
        "range",
        "slice",
        "int",
        "float",
        "str",
        "bool",
        "list",
        "tuple",
        "dict",
        "bytes",
    },
    "collections": {"OrderedDict", "defaultdict", "deque", "Counter"},
    "fractions": {"Fraction"},
    "decimal": {"Decimal"},
    "_codecs": {"encode"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "numpy": {"ndarray", "dtype"},
    **{
        f"numpy.{core}.multiarray": {"_reconstruct", "scalar"}
        for core in ("core", "_core")
    },
    **{f"numpy.{core}.numeric": {"_frombuffer"} for core in ("core", "_core")},
}


class Answers:
    """The texts of one evaluation, shared by all processes that take part.

    Args:
        folder: scratch folder of the evaluation
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._begun = folder / "answers", folder / "begun"
        self._seen: set[str] = set()
        self._chars = 0
        self._read = (0, "", frozenset[str]())  # the file's size, its text, its words

    def note(self, said: str | bytes | bytearray) -> None:
        """Remember a text of the candidate.

        Args:
            said: text, or bytes that may hold text
        """
        text = said if isinstance(said, str) else bytes(said).decode("latin-1")
        if not text or text in self._seen or self._chars >= _MAX_CHARS:
            return
        self._seen.add(text)
        self._chars += len(text)
        with self._path.open("a", errors="backslashreplace") as file:
            file.write(text[:_MAX_CHARS] + "\0")

    def begin(self) -> None:
        """Record that the candidate has answered, with any value."""
        if not self._begun.exists():
            self._begun.touch()

    def have_begun(self) -> bool:
        """Return whether the candidate has answered in this evaluation, in any process."""
        return self._begun.exists()

    def any(self) -> bool:
        """Return whether the candidate has sent any text.

        Returns:
            False if it sent only numbers, or nothing.
        """
        return self._path.exists()

    def share_words(self, text: str) -> bool:
        """Return whether a text has a word in common with the candidate's texts.

        Args:
            text: any text

        Returns:
            True also if the candidate sent more than can be remembered.
        """
        size, _, words = self._said()
        return size >= _MAX_CHARS or not words.isdisjoint(_WORD.findall(text))

    def are_in(self, text: str) -> bool:
        """Return whether a text contains one of the candidate's longer texts.

        Args:
            text: any text

        Returns:
            True also if the candidate sent more than can be remembered.
        """
        size, said, _ = self._said()
        return size >= _MAX_CHARS or any(
            len(part.strip()) >= _LONG_TEXT and part.strip() in text
            for part in said.split("\0")
        )

    def _said(self) -> tuple[int, str, frozenset[str]]:
        size = self._path.stat().st_size if self._path.exists() else 0
        if size != self._read[0]:
            text = self._path.read_text(errors="replace")
            self._read = size, text, frozenset(_WORD.findall(text))
        return self._read


def may_name(module: str, name: str, shared: frozenset[str]) -> bool:
    """Return whether a pickle or YAML document may name something.

    Args:
        module: module of the name
        name: the name in it
        shared: modules that evaluator and program share

    Returns:
        True for names that build plain data, exceptions, and classes of the task's
        files.
    """
    if name in _PLAIN.get(module, ()):
        return True
    found = getattr(sys.modules.get(module), name, None) if "." not in name else None
    if not isinstance(found, type) or found.__module__ != module:
        return False
    return (
        module in shared
        or module in _OURS
        or (module == "builtins" and issubclass(found, Exception))
    )

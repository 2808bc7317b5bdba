"""What a prompt shows of a program: all of it, or the parts that fit and matter."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from numpy.random import Generator

from evolve.archive import Files
from evolve.operators.asked_for import ASK, signatures
from evolve.operators.context import Lesson, Parent, changed_lines
from evolve.operators.edits.comments import comment_sign
from evolve.operators.edits.definitions import defined_names, parse_python
from evolve.operators.outline import Outline
from evolve.operators.templates import Prompts
from evolve.operators.tokens import cut_to
from evolve.tasks import Task, editable_region
from evolve.tasks.region import START

# a fixed part of a Python file with more tokens is not shown whole
FIXED_TOKENS = 2000
ENOUGH_TOKENS = 3300  # up to which the bodies of callees are added
# greatest share of the prompt for one of several files, for a mate
FILES_SHARE, MATE_SHARE = 0.5, 0.2
MOST_CHARS = 16  # of a token: longer programs are not counted
NEARLY = 0.9  # of the room for files: no further one is tried
MOST_BYTES = 200_000  # of a file with an outline
SIDE_SHARE = 0.4  # for each of two programs that a model compares
NAMES_SHARE = (
    0.05  # for the names of files that are not shown, and again for signatures
)
MOST_SUMMARIES, _LONGEST_SUMMARY = 300, 400  # files, characters of one
PARTS = "Of"  # first word of the sentence that says which parts are shown


@dataclass(frozen=True)
class Excerpt:
    """The shown parts of a program.

    Attributes:
        listing: the files as Markdown
        paths: editable files of which all that may change is shown
        tokens: length of the listing
    """

    listing: str
    paths: tuple[str, ...]
    tokens: int


class Program:
    """A variant with the files that a prompt shows.

    Args:
        task: says which files are editable
        variant: the files
        prompts: template of a listing and the counter of tokens
        wanted: files and functions that come first, as a model has asked for them
    """

    def __init__(
        self, task: Task, variant: Parent, prompts: Prompts, wanted: Sequence[str] = ()
    ) -> None:
        self._task, self._prompts, self._wanted = task, prompts, tuple(wanted)
        self._files: Files = variant.files
        self._texts = {
            path: variant.files[path].decode()
            for path in task.edits.within(variant.files)
        }

    @cached_property
    def listing(self) -> str:
        """All editable files."""
        return self._rendered(
            [
                (path, text if text.endswith("\n") else f"{text}\n")
                for path, text in self._texts.items()
            ]
        )

    @cached_property
    def is_long(self) -> bool:
        """Whether not all of it can fit, or a fixed part is so long that little is of use."""
        size = sum(map(len, self._texts.values()))
        return size > MOST_CHARS * self._prompts.tokens or any(
            START in text and self._has_long_fixed_part(text)
            for text in self._texts.values()
        )

    def _has_long_fixed_part(self, text: str) -> bool:
        region, count = editable_region(text), self._prompts.count
        return (
            count("".join(region.fixed)) > FIXED_TOKENS
            and count(region.text) <= self._prompts.tokens
            and parse_python(text) is not None
        )

    def excerpt(self, room: int, rng: Generator) -> Excerpt | None:
        """Return what matters most, within a number of tokens.

        Of several files some are chosen at random, so that in time each is shown.

        Args:
            room: greatest number of tokens
            rng: generator of the proposal

        Returns:
            The excerpt; None if the editable part of no file fits.
        """
        order = [path for path, text in self._texts.items() if text.strip()]
        if len(order) > 1:
            order = [order[int(k)] for k in rng.permutation(len(order))]
            order.sort(key=lambda path: path not in self._wanted)
        limit = room if len(order) == 1 else int(room * FILES_SHARE)
        shown: list[tuple[str, str]] = []
        used = 0
        for path in order:
            part = self._part_that_fits(path, room)
            size = self._size([(path, part)]) if part is not None else 0
            if part is not None and used + size <= (limit if shown else room):
                shown.append((path, part))
                used += size
            if used > NEARLY * limit:
                break
        if not shown:
            return None
        known = list(self._texts)
        shown.sort(key=lambda one: known.index(one[0]))
        paths = tuple(path for path, _ in shown)
        shown = self._with_fixed(self._with_callees(shown, room), room)
        shown = self._with_entry(self._with_imported(shown, room), room)
        text = self._note(paths) + self._rendered(shown)
        return Excerpt(text, paths, self._prompts.count(text))

    @property
    def least(self) -> tuple[str, int]:
        """The editable file with the shortest part, and the tokens that this part needs."""
        sizes = {
            path: self._prompts.count(editable_region(text).text)
            for path, text in self._texts.items()
            if text.strip()
        }
        if not sizes:
            return "", 0
        path = min(sizes, key=sizes.__getitem__)
        if sizes[path] > self._prompts.tokens:
            return path, sizes[path]
        return path, self._size([(path, self._part(path))])

    def _part(self, path: str, whole: Sequence[str] = (), callers: bool = False) -> str:
        """Return the part of a file that may change, with what it uses."""
        text = self._texts[path]
        if START not in text:
            return text if text.endswith("\n") else f"{text}\n"
        wanted = [name for name in self._wanted if name in whole]
        return self._outline(path).text(whole, wanted, callers=callers)

    def _part_that_fits(self, path: str, room: int) -> str | None:
        """Return the part of a file; None if even its editable text is too long.

        Its length is known before it is parsed: a candidate may have made it very long.
        """
        text = self._texts[path]
        if self._prompts.count(editable_region(text).text) > room:
            return None
        return self._part(path)

    def _outline(self, path: str) -> Outline:
        return Outline(self._texts[path], comment=comment_sign(path) or "#")

    def _with_callees(
        self, shown: list[tuple[str, str]], room: int
    ) -> list[tuple[str, str]]:
        """Show callers, and the bodies of short functions that the editable part calls."""
        path, part = shown[0]
        if START not in self._texts[path]:
            return shown
        limit = min(room, ENOUGH_TOKENS)
        whole: list[str] = []
        longer = self._part(path, callers=True)
        callers = self._size([(path, longer), *shown[1:]]) <= limit
        part = longer if callers else part
        for name in (*self._wanted, *self._outline(path).callees):
            longer = self._part(path, [*whole, name], callers)
            most = room if name in self._wanted else limit
            if self._size([(path, longer), *shown[1:]]) <= most:
                whole.append(name)
                part = longer
        return [(path, part), *shown[1:]]

    def _with_fixed(
        self, shown: list[tuple[str, str]], room: int
    ) -> list[tuple[str, str]]:
        """Show files that a model has asked for, and that may not change."""
        for path in self._wanted:
            content = self._files.get(path, b"")
            if path in self._texts or not content or len(content) > MOST_BYTES:
                continue
            text = content.decode(errors="replace")
            heading = f"{path}, not to be changed here:"
            more = [*shown, (heading, text if text.endswith("\n") else f"{text}\n")]
            if self._size(more) <= room:
                shown = more
        return shown

    def _with_imported(
        self, shown: list[tuple[str, str]], room: int
    ) -> list[tuple[str, str]]:
        """Show the outlines of what the shown files import from others of the program."""
        paths = [path for path, _ in shown if path in self._texts]
        wanted: dict[str, list[str]] = {}
        for path in paths:
            text = self._texts[path]
            used = set(self._outline(path).used)
            for other, names in imports_of(text, path, self._files).items():
                if other not in paths and used & set(names):
                    wanted.setdefault(other, []).extend(used & set(names))
        for other, names in wanted.items():
            if len(self._files[other]) > MOST_BYTES:
                continue
            text = self._files[other].decode(errors="replace")
            outline = Outline(text, blocks=()).text(wanted=sorted(names))
            more = [*shown, (f"{other}, in parts and not to be changed here:", outline)]
            if self._size(more) <= room:
                shown = more
        return shown

    def _with_entry(
        self, shown: list[tuple[str, str]], room: int
    ) -> list[tuple[str, str]]:
        """Show the outline of the file that is run, if other files are shown."""
        entry = self._task.entry
        if (
            entry in dict(shown)
            or not entry.endswith(".py")
            or entry not in self._files
        ):
            return shown
        text = self._files[entry].decode(errors="replace")
        outline = Outline(text, blocks=()).text(wanted=sorted(defined_names(text)))
        more = [*shown, (f"{entry}, in parts and not to be changed here:", outline)]
        return more if self._size(more) <= min(room, ENOUGH_TOKENS) else shown

    def _note(self, paths: Sequence[str]) -> str:
        """Return a sentence on what is shown."""
        ask = (
            f" To see {{}} first, answer only: {ASK} NAME"
            if self._prompts.answers
            else ""
        )
        if len(self._texts) == 1:
            said = f"{PARTS} the file you see what may change, and what that uses of the rest."
            return f"{said}{ask.format('more functions')}\n\n"
        others = [path for path in self._texts if path not in paths]
        said = (
            f"{PARTS} {len(self._texts)} files you see {len(paths)}: change only these "
            f"here.{ask.format('another one')}"
        )
        return f"{said}\n\n{self._summary(others)}"

    def _summary(self, paths: Sequence[str]) -> str:
        """Return the names of files, and their functions and classes as far as they fit."""
        named = self._task.edits.names  # the prompt lists them already
        unnamed = [path for path in paths if path not in named]
        limit = int(self._prompts.tokens * NAMES_SHARE)
        names = cut_to(", ".join(unnamed), limit, self._prompts.count)
        lines = [f"There are also: {names}"] if names else []
        room = limit
        for path in paths[:MOST_SUMMARIES]:
            text = self._texts[path]
            found = (
                signatures(text)
                if path.endswith(".py") and len(text) <= MOST_BYTES
                else []
            )
            line = f"- {path}: {'; '.join(dict.fromkeys(found))[:_LONGEST_SUMMARY]}"
            room -= self._prompts.count(line) + 1
            if room < 0:
                break
            lines += [line] if found else []
        return "\n".join([*lines, "", ""]) if lines else ""

    def _size(self, files: Sequence[tuple[str, str]]) -> int:
        return self._prompts.count(self._rendered(files))

    def _rendered(self, files: Sequence[tuple[str, str]]) -> str:
        return self._prompts.render(
            "variant.j2", files=files, language=self._task.spec.language
        )


def what_is_shown(prompt: str) -> str:
    """Return the sentence of a prompt that says which parts of the program it shows.

    Args:
        prompt: as an operator made it

    Returns:
        The sentence; empty if the prompt shows the whole program.
    """
    for line in prompt.splitlines():
        if line.startswith(f"{PARTS} ") and " you see " in line:
            return line.partition(".")[0].partition(":")[0]
    return ""


def difference(first: Parent, other: Parent, prompts: Prompts) -> str:
    """Return a program as its difference from another, cut to a share of the prompt.

    Args:
        first: the program that is shown
        other: the other program
        prompts: counter of tokens and greatest length of a prompt
    """
    patch = Lesson(first, other).patch or "(the same files)"
    cut = cut_to(patch, int(prompts.tokens * MATE_SHARE), prompts.count)
    return f"As a difference from the current program:\n\n```diff\n{cut}\n```\n"


def sides_of_change(first: Files, second: Files, prompts: Prompts) -> tuple[str, str]:
    """Return the old and the new lines of a change of a long program.

    Args:
        first: the old program
        second: the new program
        prompts: counter of tokens and greatest length of a prompt

    Returns:
        The lines that differ with their neighbours, each side cut to `SIDE_SHARE`.
    """
    sides: tuple[list[str], list[str]] = ([], [])
    for path in sorted(first.keys() | second.keys()):
        lines = changed_lines(path, first.get(path, b""), second.get(path, b""))
        for line in lines[2:]:  # after the names of the file
            for side, sign in zip(sides, "-+", strict=True):
                if line[:1] in (sign, " ", "@"):
                    side.append(line[1:] if line[:1] != "@" else f"# {path}")
    limit = int(prompts.tokens * SIDE_SHARE)
    old, new = (cut_to("\n".join(side), limit, prompts.count) for side in sides)
    return old, new


def imports_of(text: str, path: str, files: Files) -> dict[str, list[str]]:
    """Return which names a Python file imports from other files of its program.

    Args:
        text: the file, or a part of it
        path: of the file
        files: the program

    Returns:
        Path -> names.
    """
    import ast

    found: dict[str, list[str]] = {}
    tree = parse_python(text)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.ImportFrom):
            for other in _candidates(node.module or "", node.level, path):
                if other in files and other != path:
                    found.setdefault(other, []).extend(a.name for a in node.names)
                    break
    return found


def _candidates(module: str, level: int, path: str) -> list[str]:
    """Return the files that a module may be in."""
    folder = posixpath.dirname(path)
    for _ in range(level - 1):
        folder = posixpath.dirname(folder)
    inner = module.replace(".", "/")
    roots = [folder] if level else ["", folder]
    bases = [posixpath.join(root, inner) for root in roots]
    return [f"{base}{end}" for base in bases for end in (".py", "/__init__.py")]

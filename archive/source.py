"""Source code as tokens, without comments, formatting and bound names; its fingerprint.

A scanner and not a parser: it must accept every language, and programs that do not
parse.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

_HASH_COMMENTS = {".py", ".sh", ".rb", ".pl", ".r", ".jl", ".toml", ".yaml", ".yml"}
_STRING = (
    r'"""(?:\\.|[^\\])*?"""'
    r"|'''(?:\\.|[^\\])*?'''"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])*'"
)
_REST = (
    r"(?P<line>\n[ \t]*)|(?P<name>[^\W\d]\w*)|(?P<number>\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d+)"
    r"|(?P<sign>\\['\"\\]|\*\*=?|//=?|<<=?|>>=?|[-+*/%&|^<>=!:@]=|->|&&|\|\||\+\+|--|[^\w\s])"
)
_HASH = re.compile(
    rf"(?P<string>{_STRING})|(?P<comment>#[^\n]*|\\\n)|{_REST}", re.DOTALL
)
_SLASH = re.compile(
    rf"(?P<string>{_STRING})|(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))|{_REST}", re.DOTALL
)
_ASSIGNS = {"=", "+=", "-=", "*=", "/=", "//=", "%=", "**=", ":="}
_DEFINES = {"def", "class", "fn", "func", "function", "as", "let", "var"}

Token = tuple[str, str]  # (kind, text)


# a new variant is scanned twice in a row: for its vector and for its measures
@lru_cache(8)
def tokens(path: str, content: bytes) -> Sequence[Token]:
    """Return the tokens of a file.

    Args:
        path: Its suffix selects the comment syntax.
        content: Decoded as UTF-8; invalid bytes are replaced.

    Returns:
        Pairs (kind, text) without comments; the kind is name, bound, number, string or
        sign, and for Python also level.
    """
    text = content.decode(errors="replace")
    suffix = PurePosixPath(path).suffix.lower()
    scanner = _HASH if suffix in _HASH_COMMENTS else _SLASH
    found = [(match.lastgroup or "", match.group()) for match in scanner.finditer(text)]
    found = [token for token in found if token[0] != "comment"]
    if suffix == ".py":
        found = [token for line in _logical_lines(found) for token in line]
    else:
        found = [token for token in found if token[0] != "line"]
    bound = _bound_names(found)
    return tuple(
        [
            ("bound", text) if kind == "name" and text in bound else (kind, text)
            for kind, text in found
        ]
    )


def fingerprint(files: Mapping[str, bytes]) -> str:
    """Return a hash that ignores comments, formatting and the choice of bound names.

    Args:
        files: Path -> content.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(files):
        names: dict[str, str] = {}
        parts = [
            names.setdefault(text, f"bound {len(names)}") if kind == "bound" else text
            for kind, text in tokens(path, files[path])
        ]
        digest.update("\0".join([path, *parts, "\1"]).encode(errors="surrogatepass"))
    return digest.hexdigest()


def _logical_lines(found: list[Token]) -> Iterator[list[Token]]:
    """Yield logical lines of Python, each after its level token, without docstrings."""
    levels, line, depth = [0], [("level", "0")], 0
    for kind, text in [*found, ("line", "\n")]:
        if kind != "line":
            depth += (text in "([{") - (text in ")]}") if kind == "sign" else 0
            line.append((kind, text))
        elif depth <= 0:
            if len(line) > 1 and [token[0] for token in line[1:]] != ["string"]:
                yield line
            line = [("level", str(_level(levels, text)))]


def _level(levels: list[int], line: str) -> int:
    """Return the number of open blocks at this indentation."""
    indent = len(line.expandtabs()) - 1
    while len(levels) > 1 and levels[-1] > indent:
        levels.pop()
    if indent > levels[-1]:
        levels.append(indent)
    return len(levels) - 1


def _bound_names(found: list[Token]) -> set[str]:
    """Return names that the text binds: assigned, defined, parameters, loop targets."""
    bound: set[str] = set()
    depth, inside = 0, ""  # inside: the construct that a list of names belongs to
    previous = before = ""
    for position, (kind, text) in enumerate(found):
        following = found[position + 1][1] if position + 1 < len(found) else ""
        depth += (text in "([{") - (text in ")]}") if kind == "sign" else 0
        if text in ("for", "lambda"):
            inside = text
        elif text in ("in", ":") or kind == "level":
            inside = ""
        if text == "(" and before in _DEFINES:
            inside = "parameters"
        elif text == ")" and inside == "parameters":
            inside = ""
        if (
            kind == "name"
            and previous != "."
            and (
                inside
                or previous in _DEFINES
                or (depth == 0 and following in _ASSIGNS)
                or following == ":="
            )
        ):
            bound.add(text)
        before, previous = previous, text
    return bound - {"for", "lambda", "in", "if", "else"}

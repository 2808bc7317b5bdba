"""Syntax colouring of code, line by line, as HTML that is safe to insert."""

from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from evolve.text import visible

MOST_CHARS = 400_000  # longer files are shown without colours


@lru_cache(maxsize=256)
def coloured_lines(path: str, text: str) -> tuple[Markup, ...]:
    """Return the lines of a file as HTML.

    Args:
        path: selects the language
        text: content of the file

    Returns:
        One element per line, with all text escaped.
    """
    from pygments.token import STANDARD_TYPES
    from pygments.util import ClassNotFound

    if len(text) > MOST_CHARS:
        return plain_lines(text)
    try:
        lexer = _lexer(path)
    except ClassNotFound:
        return plain_lines(text)
    lines: list[list[str]] = [[]]
    for kind, piece in lexer.get_tokens(text):
        name = STANDARD_TYPES.get(kind, "")
        for number, part in enumerate(piece.split("\n")):
            if number:
                lines.append([])
            if part:
                word = escape(visible(part))
                lines[-1].append(f'<i class="{name}">{word}</i>' if name else str(word))
    # all parts are escaped above
    made = [Markup("".join(line)) for line in lines]
    wanted = len(text.splitlines())
    return tuple(made[:wanted]) if len(made) >= wanted else plain_lines(text)


def plain_lines(text: str) -> tuple[Markup, ...]:
    """Return the lines of a file as HTML without colours.

    Args:
        text: content of the file

    Returns:
        One element per line, with all text escaped.
    """
    return tuple(escape(visible(line)) for line in text.splitlines())


@lru_cache(maxsize=64)
def _lexer(path: str) -> Any:
    from pygments.lexers import get_lexer_for_filename

    return get_lexer_for_filename(path, stripnl=False, ensurenl=False)

"""How long a text is for a model: by its own tokenizer, where there is one without a network."""

from __future__ import annotations

from collections.abc import Callable

BYTES_PER_TOKEN = 3

CountTokens = Callable[[str], int]


def by_bytes(text: str) -> int:
    """A cheap estimate, on the safe side for code."""
    return -(-len(text.encode(errors="surrogatepass")) // BYTES_PER_TOKEN)


def cut_to(text: str, limit: int, count: CountTokens) -> str:
    """The beginning and the end of a text, within a number of tokens."""
    if count(text) <= limit:
        return text
    mark = "\n[...]\n"
    low, high = 0, len(text)  # characters that are kept
    while low < high:
        middle = (low + high + 1) // 2
        if count(_ends(text, middle, mark)) <= limit:
            low = middle
        else:
            high = middle - 1
    return _ends(text, low, mark) if low else ""


def _ends(text: str, kept: int, mark: str) -> str:
    return text[: kept - kept // 2] + mark + text[len(text) - kept // 2 :]

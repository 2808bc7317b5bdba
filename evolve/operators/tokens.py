"""Lengths of texts in tokens."""

from collections.abc import Callable

BYTES_PER_TOKEN = 3

CountTokens = Callable[[str], int]


def by_bytes(text: str) -> int:
    """Estimate the number of tokens.

    Args:
        text: any text

    Returns:
        Bytes / `BYTES_PER_TOKEN`, rounded up: usually too high for code.
    """
    return -(-len(text.encode(errors="surrogatepass")) // BYTES_PER_TOKEN)


def cut_to(text: str, limit: int, count: CountTokens) -> str:
    """Shorten a text to a number of tokens.

    Args:
        text: any text
        limit: greatest number of tokens
        count: counts the tokens of a text

    Returns:
        The text, or its beginning and end around a mark; empty if not even those fit.
    """
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

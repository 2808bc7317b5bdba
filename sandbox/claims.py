"""What candidates claim, read in the engine's process: bounded, and never a dict.

`wire.decode` accepts values whose decoding costs minutes, such as dicts of integers with one
hash. The engine expects few forms, so each has its reader here.
"""

import json
from typing import Any

from evolve.sandbox.aside import run_aside
from evolve.sandbox.errors import CandidateFault, Reason
from evolve.sandbox.inside import wire

SMALL_BYTES = 4096  # of a truth value, a number or a short text
LISTING_BYTES = 4 << 20  # of the names and sizes of files


def read_small(payload: bytes) -> Any:
    """Read a claimed truth value, number or short text.

    Args:
        payload: Of a reply.

    Returns:
        The value; it may be another small one.

    Raises:
        CandidateFault: It is not valid, or larger.
    """
    try:
        if len(payload) > SMALL_BYTES:
            raise wire.Malformed(f"{len(payload):,} bytes in place of a short value")
        return wire.decode(payload)
    except wire.Malformed as error:
        raise _refused(error) from None


def read_output(payload: bytes) -> tuple[bytes, bytes]:
    """Read the claimed output of a command.

    Args:
        payload: Of a reply to `Session.run`.

    Returns:
        Standard output and standard error.

    Raises:
        CandidateFault: It is not two byte strings.
    """
    try:
        text, blobs = wire.split(payload, SMALL_BYTES)
        sizes = _sizes(json.loads(bytes(text))["$t"])
        if len(sizes) != 2 or sum(sizes) != len(blobs):
            raise wire.Malformed("not the output of a command")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _refused(error) from None
    return bytes(blobs[: sizes[0]]), bytes(blobs[sizes[0] :])


async def read_files(payload: bytes, most: int) -> dict[str, bytes]:
    """Read claimed files; a long listing is parsed aside.

    Args:
        payload: Of a reply: the encoded list of [path, content].
        most: Limit on their number.

    Returns:
        Path -> content; the paths are not checked.

    Raises:
        CandidateFault: It is not such a list, or too much.
    """
    try:
        text, blobs = wire.split(payload, LISTING_BYTES)
    except wire.Malformed as error:
        raise _refused(error) from None
    listing = await run_aside(listed, bytes(text), most, size=len(text))
    if listing is None or sum(size for _, size in listing) != len(blobs):
        raise CandidateFault(
            Reason.REFUSED, "its answer is not a list of files that it sent"
        )
    found, start = {}, 0
    for path, size in listing:
        found[path] = bytes(blobs[start : start + size])
        start += size
    return found


def listed(text: bytes, most: int) -> list[list[Any]] | None:
    """Parse the JSON of an encoded list of files.

    Args:
        text: The JSON.
        most: Limit on their number.

    Returns:
        Pairs [path, size]; None if it is something else.
    """
    try:
        pairs = json.loads(text)
        if not isinstance(pairs, list) or len(pairs) > most:
            return None
        paths = [_path(path) for path, _ in pairs]
        return [
            [path, size]
            for path, size in zip(
                paths, _sizes([blob for _, blob in pairs]), strict=True
            )
        ]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _path(claimed: Any) -> str:
    if not isinstance(claimed, str):
        raise TypeError("a path that is not a text")
    claimed.encode()  # a lone surrogate is a ValueError
    return claimed


def _sizes(blobs: list[Any]) -> list[int]:
    """Return the sizes of byte strings; raise ValueError, TypeError or KeyError for others."""
    if not isinstance(blobs, list):
        raise TypeError("not a list")
    sizes = [blob["$b"] for blob in blobs]
    if not all(type(size) is int and 0 <= size < 2**40 for size in sizes):
        raise ValueError("a size that is none")
    return sizes


def _refused(error: Exception) -> CandidateFault:
    return CandidateFault(Reason.REFUSED, f"its answer: {error}"[:500])

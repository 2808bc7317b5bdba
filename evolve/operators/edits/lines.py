"""The lines of a reply, and the line that begins or ends a fenced block."""

import functools
import re

# indentation, fence, what follows it
FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})([^\n`]*)$")


@functools.lru_cache(maxsize=4)  # several functions parse the same reply
def lines_of(reply: str) -> tuple[str, ...]:
    """Split a reply into lines without their ends.

    Args:
        reply: the model's text

    Returns:
        The lines. Only a line feed ends one; other Unicode line ends are ordinary text.
    """
    return tuple([line.removesuffix("\r") for line in reply.split("\n")])

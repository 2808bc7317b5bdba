"""Tracebacks that show the author's code, without the frames that lead to it.

Used by the candidate's side and by scorers. Standard library only.
"""

from __future__ import annotations

import importlib
import traceback


def format_traceback(error: BaseException, ours: str, characters: int) -> str:
    """Return the end of a traceback, without leading frames of this program.

    Args:
        error: The exception.
        ours: The file of the caller.
        characters: Maximum length.

    Returns:
        The text; empty if no frame is left, as the message is then sufficient.
    """
    frames = error.__traceback__
    while frames is not None and _leads(frames.tb_frame.f_code.co_filename, ours):
        frames = frames.tb_next
    if frames is None and not isinstance(error, SyntaxError):
        return ""
    return "".join(traceback.format_exception(type(error), error, frames))[-characters:]


def _leads(file: str, ours: str) -> bool:
    return file in (ours, importlib.__file__) or file.startswith("<frozen importlib")

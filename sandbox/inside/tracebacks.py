"""What is told of an exception: where it went wrong in the code of its author, not how we got there.

Used by the candidate's side and by scorers. Standard library only.
"""

from __future__ import annotations

import importlib
import traceback


def format_traceback(error: BaseException, ours: str, characters: int) -> str:
    """The end of the traceback without the frames before the first that is not ours.

    `ours` is the file that called. Empty where no frame is left: then the message says it all.
    """
    frames = error.__traceback__
    while frames is not None and _leads(frames.tb_frame.f_code.co_filename, ours):
        frames = frames.tb_next
    if frames is None and not isinstance(error, SyntaxError):
        return ""
    return "".join(traceback.format_exception(type(error), error, frames))[-characters:]


def _leads(file: str, ours: str) -> bool:
    return file in (ours, importlib.__file__) or file.startswith("<frozen importlib")

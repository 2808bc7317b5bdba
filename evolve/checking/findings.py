"""One line of a report on this machine."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        state: "ok", "warn" or "fail"
        what: the result
        fix: the next step; empty if there is none
    """

    state: Literal["ok", "warn", "fail"]
    what: str
    fix: str = ""

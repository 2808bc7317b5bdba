"""Shortages of this machine: a failure meanwhile is not the candidate's."""

import os
import tempfile
from pathlib import Path

from evolve.archive import Evaluation
from evolve.sandbox import Limits, ProviderFault, Reason
from evolve.sandbox.process_limits import check_limits

_PROBE = b"\0" * 65536
_INVALID = "invalid"  # the evaluator refused an answer
# Exceptions that a program gets from its own lines: no file or limit is behind them.
_OWN = (
    "AssertionError",
    "IndexError",
    "NameError",
    "OverflowError",
    "RecursionError",
    "TypeError",
    "UnboundLocalError",
    "ZeroDivisionError",
)


def may_be_the_machines(row: Evaluation) -> bool:
    """Return whether a shortage or damage of this machine could be behind a failure.

    Most failures of a run are the program's own without doubt; for these, the checks
    would cost more than the evaluation.

    Args:
        row: A row with a reason.

    Returns:
        False for refused answers and for exceptions such as `NameError`.
    """
    said = row.message or ""
    if row.reason == Reason.EXCEPTION:
        return not said.startswith(_OWN)
    # an evaluator may have caught an error of the system and told it as its own
    return row.reason != _INVALID or "[Errno" in said


def check_machine(limits: Limits, workers: int, log: Path) -> None:
    """Check the limits on this process, and that files can be written.

    Args:
        limits: limits of one candidate
        workers: number of candidates at once
        log: file for the output of scorers

    Raises:
        ProviderFault: the machine lacks something; names it and the way out
    """
    check_limits(limits, workers)
    for folder in {Path(tempfile.gettempdir()), log.parent} - {Path(os.devnull).parent}:
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(_PROBE)
        except OSError as error:
            raise ProviderFault(
                f"{folder} can't be written: {error.strerror}",
                "free disk space there, or set TMPDIR to another folder",
            ) from None

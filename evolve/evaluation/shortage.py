"""Shortages of this machine: a failure meanwhile is not the candidate's."""

import os
import tempfile
from pathlib import Path

from evolve.sandbox import Limits, ProviderFault
from evolve.sandbox.process_limits import check_limits

_PROBE = b"\0" * 65536


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

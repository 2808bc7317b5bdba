"""Failures after which the machine is checked, and those that are the program's own."""

from __future__ import annotations

import pytest

from evolve.archive import Evaluation
from evolve.evaluation.shortage import may_be_the_machines


def failed(reason: str, message: str) -> Evaluation:
    return Evaluation("case", "search", 0, None, reason=reason, message=message)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("timeout", "it took over 5 s"),
        ("memory", "MemoryError"),
        ("crash", "its process ended"),
        ("evaluator", "evaluate.py's process: it died"),
        ("exception", "ImportError: cannot import name 'sqrt'"),
        ("exception", "OSError: [Errno 28] No space left on device"),
        ("exception", "SyntaxError: invalid syntax"),
        ("exception", "AttributeError: module 'json' has no attribute 'loads'"),
        ("invalid", "the program failed: [Errno 28] No space left on device"),
    ],
)
def test_the_machine_may_be_behind_it(reason: str, message: str) -> None:
    assert may_be_the_machines(failed(reason, message))


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("invalid", "circles 0 and 1 overlap by 7.5"),
        ("exception", "NameError: name 'angles' is not defined"),
        ("exception", "TypeError: 'int' object is not callable"),
        ("exception", "ZeroDivisionError: division by zero"),
    ],
)
def test_the_program_failed_by_itself(reason: str, message: str) -> None:
    assert not may_be_the_machines(failed(reason, message))

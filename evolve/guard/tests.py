"""Tests that run in the candidate's box: the scorer's side.

The report is made in the candidate's process, so it is a claim that can only refuse. Each line of
it carries a code made from a secret, which is drawn for each run and read before anything of the
candidate is imported; a program that ends early, writes a report of its own, or leaves tests out
has no such lines.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SHOWN = 5  # tests in a message
RUNNER = Path(__file__).with_name("inside.py")
# no folder of the candidate is on the path before pytest is loaded; no file is written
COMMAND = ("python3", "-P", "-s", "-B", "-c")


class Unproved(Exception):
    """A test that must pass is not shown to have passed."""


@dataclass(frozen=True)
class Order:
    """A run of pytest in a box.

    Attributes:
        files: What is put in first, path -> content.
        argv: The command.
        stdin: Its input, with the secret.
        secret: What the report's codes are made from.
    """

    files: Mapping[str, bytes]
    argv: Sequence[str]
    stdin: str
    secret: bytes


def order_tests(arguments: Sequence[str], tests: Mapping[str, str | bytes]) -> Order:
    """Prepare a run of pytest.

    Args:
        arguments: Of pytest.
        tests: Path -> content.

    Returns:
        The run, with a secret of its own.
    """
    files = {
        path: text.encode() if isinstance(text, str) else text
        for path, text in tests.items()
    }
    secret = secrets.token_bytes(32)
    order = {
        "secret": secret.hex(),
        "arguments": list(arguments),
        "tests": {p: hashlib.sha256(data).hexdigest() for p, data in files.items()},
    }
    return Order(files, (*COMMAND, RUNNER.read_text()), json.dumps(order), secret)


def passed_tests(
    order: Order, report: bytes, expected: Collection[str] | None
) -> list[str]:
    """Read a report.

    Args:
        order: The run.
        report: Its standard output.
        expected: Node ids that must have passed; None: any.

    Returns:
        The node ids that passed, sorted.

    Raises:
        Unproved: A line is not ours, pytest was tampered with, or an expected test has
            not passed.
    """
    outcomes = _outcomes(report, order.secret)
    passed = sorted(test for test, outcome in outcomes.items() if outcome == "passed")
    wanted = expected or ()
    lost = [test for test in wanted if outcomes.get(test) != "passed"]
    if lost:
        named = [f"{test} ({outcomes.get(test, 'missing')})" for test in lost[:SHOWN]]
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        count = f"{len(lost)} of {len(wanted)} tests have not passed"
        raise Unproved(f"{count}: {', '.join(named)}{more}")
    if not passed:
        raise Unproved("no test has passed")
    return passed


def code_of(secret: bytes, outcome: str, test: str) -> str:
    """Return the code that a line of the report must carry.

    Args:
        secret: That of this run.
        outcome: Such as "passed".
        test: Node id.

    Returns:
        Hexadecimal digits.
    """
    return hmac.digest(secret, f"{outcome} {test}".encode(), "sha256").hex()[:32]


def _outcomes(report: bytes, secret: bytes) -> dict[str, str]:
    """Return the outcome of each test.

    Raises:
        Unproved: The report does not count.
    """
    outcomes: dict[str, str] = {}
    problems: list[str] = []
    for code, outcome, test in _lines(report):
        if outcome == "problem":
            problems.append(test)
        elif not hmac.compare_digest(code, code_of(secret, outcome, test)):
            problems.append("a line of the report is forged")
        else:
            outcomes[test] = outcome
    if problems:
        first = "; ".join(dict.fromkeys(problems[:SHOWN]))
        raise Unproved(f"the tests do not count: {first[:500]}")
    return outcomes


def _lines(report: bytes) -> Iterator[tuple[str, str, str]]:
    for line in report.splitlines():
        try:
            code, outcome, test = json.loads(line)
            yield str(code).encode("ascii").decode(), str(outcome), str(test)
        except (ValueError, TypeError):
            yield "", "problem", "the report has a line that is none of ours"

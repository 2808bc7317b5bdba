"""What we agreed never to do in our code."""

from __future__ import annotations

import ast

from tests.conftest import ROOT
from tests.unit.test_house import MODULES


def test_nothing_is_printed_or_passed_over_in_silence() -> None:
    printed, bare, silent = [], [], []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id == "print":
                printed.append(place)
            if isinstance(node, ast.ExceptHandler):
                bare += [place] if node.type is None else []
                silent += (
                    [place] if all(isinstance(n, ast.Pass) for n in node.body) else []
                )
    assert (printed, bare, silent) == ([], [], [])

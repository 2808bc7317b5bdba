"""What the code looks like, in figures (`pytest -s` shows them), and what we agreed never to do."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.conftest import ROOT

PACKAGES = ("evolve", "archive", "sandbox")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """A file with its syntax tree."""

    path: Path
    lines: int
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))


def modules() -> list[Module]:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text()
            found.append(Module(path, len(text.splitlines()), ast.parse(text)))
    return found


def lengths(found: Sequence[Module]) -> dict[str, int]:
    """Lines of each function, its docstring left out."""
    return {f"{module.name}:{node.lineno} {node.name}": length(node)
            for module in found for node in ast.walk(module.tree) if isinstance(node, Function)}


def length(node: Function) -> int:
    whole = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    said = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return whole - ((first.end_lineno or first.lineno) - first.lineno + 1 if said else 0)


def handlers(module: Module, broad: Sequence[str]) -> Iterator[str]:
    """Places that catch everything."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            name = node.type.id if isinstance(node.type, ast.Name) else None
            if node.type is None or name in broad:
                yield f"{module.name}:{node.lineno}"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def test_figures_of_style() -> None:
    found = modules()
    each = lengths(found)
    sizes = np.array(sorted(each.values()))
    longest = sorted(each, key=lambda name: -each[name])[:5]
    broad = [place for module in found for place in handlers(module, ("Exception", "BaseException"))]
    say(f"\n{len(found)} modules, {sum(m.lines for m in found)} lines, median "
        f"{np.median([m.lines for m in found]):.0f}, longest {max(m.lines for m in found)}")
    say(f"{len(sizes)} functions: median {np.median(sizes):.0f} lines, 90th percentile "
        f"{np.percentile(sizes, 90):.0f}, longest {sizes[-1]}")
    say("longest: " + ", ".join(f"{name} ({each[name]})" for name in longest))
    say(f"{len(broad)} handlers catch everything: {', '.join(broad)}")
    assert len(found) > 200 and len(sizes) > 1500, "the code was found"


def test_nothing_is_printed_or_passed_over_in_silence() -> None:
    printed, bare, silent = [], [], []
    for module in modules():
        bare += handlers(module, ())
        for node in ast.walk(module.tree):
            place = f"{module.name}:{getattr(node, 'lineno', 0)}"
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id == "print":
                printed.append(place)
            if isinstance(node, ast.ExceptHandler) and all(isinstance(n, ast.Pass) for n in node.body):
                silent.append(place)
    assert (printed, bare, silent) == ([], [], [])

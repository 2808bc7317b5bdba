"""Small repositories of somebody else, for `evolve optimize`."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

# src layout, objects as arguments, one function that changes them
LEDGER = {
    "pyproject.toml": """[project]
name = "ledger"
version = "1.2"
dependencies = []
[project.optional-dependencies]
test = ["pytest"]
[tool.pytest.ini_options]
pythonpath = ["src"]
addopts = "--no-such-option-here"
""",
    ".env": "API_KEY=secret\n",
    "deploy.pem": "secret\n",
    "README.md": "# ledger\n",
    "src/ledger/__init__.py": """from importlib.metadata import version

from ledger.entries import Entry, normalize, summarize

__version__ = version("ledger")
""",
    "src/ledger/entries.py": '''"""Entries of a ledger."""

from dataclasses import dataclass, field


@dataclass
class Entry:
    account: str
    amount: float
    currency: str = "EUR"
    tags: list = field(default_factory=list)


def summarize(entries, by="account", limit=None):
    """Return (name, count, total) for each name, the largest total first."""
    names = []
    for entry in entries:
        name = getattr(entry, by)
        if name not in names:
            names.append(name)
    rows = []
    for name in names:
        amounts = [entry.amount for entry in entries if getattr(entry, by) == name]
        total = 0.0
        for amount in amounts:
            total += amount
        rows.append((name, len(amounts), total))
    rows.sort(key=lambda row: -row[2])
    return rows if limit is None else rows[:limit]


def normalize(entries, rates, default=None):
    """Convert amounts in place; return how many entries changed."""
    changed = 0
    for entry in entries:
        if entry.currency == "":
            continue
        if default is None:
            rate = rates[entry.currency]
        else:
            rate = rates.get(entry.currency, default)
        if rate != 1:
            entry.amount = entry.amount * rate
            entry.currency = ""
            changed += 1
    return changed


class Book:
    """Entries that are kept."""

    def __init__(self, entries):
        self.entries = list(entries)

    def balance(self, account):
        """Return the sum of an account."""
        return sum(entry.amount for entry in self.entries if entry.account == account)
''',
    "tests/test_entries.py": """import pytest

from ledger import Entry, normalize, summarize
from ledger.entries import Book


def made(count):
    names = ["rent", "food", "bus", "cinema", "gas"]
    return [
        Entry(names[(7 * n) % 5], 0.1 * n - 3, ["EUR", "USD", "CHF"][n % 3])
        for n in range(count)
    ]


def test_order():
    rows = summarize(made(12))
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 30, 80, 200])
def test_all_are_counted(count):
    assert sum(row[1] for row in summarize(made(count))) == count
    assert summarize(made(count), by="currency") is not None


def test_limits():
    assert len(summarize(made(30), limit=2)) == 2
    assert summarize(made(30), limit=0) == []
    assert len(summarize(made(30), limit=-1)) == 4


def test_whole_numbers():
    assert summarize([Entry("a", 2), Entry("a", 3)]) == [("a", 2, 5.0)]


def test_ties_stay_in_order():
    assert [row[0] for row in summarize([Entry("z", 1.0), Entry("a", 1.0)])] == ["z", "a"]


def test_unknown_field():
    with pytest.raises(AttributeError):
        summarize(made(2), by="nothing")


@pytest.mark.parametrize("count", [0, 1, 7, 40])
def test_normalize(count):
    entries = made(count)
    assert normalize(entries, {"EUR": 1, "USD": 0.9, "CHF": 1.1}) <= count


def test_normalize_unknown():
    with pytest.raises(KeyError):
        normalize(made(3), {"EUR": 1})
    assert normalize(made(6), {"EUR": 1}, default=2.0) == 4
    assert normalize(made(6), {"EUR": 1}, default=1) == 0


def test_balance():
    assert Book([Entry("a", 1.5), Entry("b", 2), Entry("a", 2.5)]).balance("a") == 4.0


@pytest.mark.skip
def test_skipped():
    raise AssertionError


def test_that_fails():
    assert summarize([]) == "something else"
""",
}

# a compiled dependency, a flat layout without git, and a benchmark
WAVES = {
    "setup.cfg": """[metadata]
name = waves
[options]
install_requires =
    numpy>=1.26
""",
    "waves.py": '''"""Counting in arrays."""

import numpy as np


def histogram(values, bins):
    """Return how often each of 0 to bins - 1 occurs in an array."""
    counts = np.zeros(bins, dtype=np.int64)
    for value in values:
        if 0 <= value < bins:
            counts[value] += 1
    return counts
''',
    "test_waves.py": """import numpy as np

from waves import histogram


def test_counts():
    assert histogram(np.array([0, 1, 1, 5, -1]), 3).tolist() == [1, 2, 0]
""",
    "bench.py": """import numpy as np

from waves import histogram

for seed in range(4):
    histogram(np.random.default_rng(seed).integers(0, 50, size=4000), 50)
""",
}


def write_repository(folder: Path, files: Mapping[str, str], git: bool = True) -> Path:
    """Write a repository, with one commit if it has git."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    if git:
        who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
        for command in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "first")):
            subprocess.run(["git", "-C", str(folder), *command], check=True)
    return folder

"""`evolve init --language`: runs at the first try, and evolves without a model."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from evolve.tasks.languages import LANGUAGES
from tests.cli import evolve

BOX = ("--sandbox", "bubblewrap")
NUMBER = re.compile(r"[\d.]+[fL]? -> [-\d.e]+[fL]?")


def installed(language: str) -> None:
    """Skip at home where a compiler is missing; CI installs all of them."""
    missing = [tool for tool in LANGUAGES[language].tools if shutil.which(tool) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{missing} must be installed in CI: tests/setup-languages")
    if missing:
        pytest.skip(f"{missing} is not installed: tests/setup-languages")


def only_numbers(note: str) -> bool:
    return all(NUMBER.fullmatch(part) for part in note.split("; "))


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_evolves_without_a_model(language: str, tmp_path: Path) -> None:
    installed(language)
    task, runs = tmp_path / "task", ("--runs-dir", tmp_path / "runs")
    made = evolve("init", task, "--language", language)
    assert made.code == 0, made.err
    seed = evolve("eval", task, *BOX, "--json")
    assert seed.code == 0 and -4 < seed.json()["score"] < -3, seed
    done = evolve("run", task, *BOX, *runs, "--name", "r", "--max-variants", "50")
    assert done.code == 0, done.err
    rows: list[dict[str, Any]] = evolve("tree", "r", "--json", *runs).json()
    scored = [row for row in rows if row["number"] and row["status"] == "scored"]
    assert len(scored) >= 15, len(scored)
    others = [row for row in scored if not only_numbers(row["note"])]
    assert len(others) >= len(scored) / 3, [row["note"] for row in scored]
    better = [row["note"] for row in others if (row["improvement"] or 0) > 0]
    assert better, "no improvement that no number gives"


def test_a_language_is_named(tmp_path: Path) -> None:
    wrong = evolve("init", tmp_path / "t", "--language", "jav")
    assert wrong.code == 2 and "java" in wrong.err
    timed = evolve("init", tmp_path / "t", "--language", "c", "--kind", "speed")
    assert timed.code == 2 and "--kind speed is for Python" in timed.err
    assert not (tmp_path / "t").exists()

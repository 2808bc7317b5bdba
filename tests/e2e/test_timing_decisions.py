"""Decisions about times on this machine: what changes nothing is not kept, a gain is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.timing_decisions import read

pytestmark = pytest.mark.alone
ROOT = Path(__file__).parents[2]
COMMAND = [
    sys.executable,
    "-m",
    "benchmarks.timing_decisions",
    "--loops",
    "60000",
    "--sandbox",
    "bubblewrap",
    "--file",
]


def run(file: Path, no_ops: int, planted: int) -> str:
    counts = ["--no-ops", str(no_ops), "--planted", str(planted)]
    done = subprocess.run(
        [*COMMAND, file, *counts], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_fifty_no_ops_are_not_kept_and_a_gain_of_ten_percent_is(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    table = run(file, 50, 1)
    trials = read(file)
    kept = [trial for trial in trials if trial.gain == 0 and trial.sure]
    assert len(kept) <= 2, kept  # 0.5 % of 50; three have a probability of 0.2 %
    (planted,) = (trial for trial in trials if trial.gain == 0.1)
    assert planted.sure and 1.05 < planted.ratio < 1.2
    assert "| none (no-op) |     50 |" in table


def test_the_benchmark_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    run(file, 1, 0)
    first = file.read_text()
    run(file, 2, 0)
    assert file.read_text().startswith(first) and len(read(file)) == 2

"""A short chaos for CI, which runs alone (`-m daemon`). Long: `python -m tests.crash.chaos`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.chaos import chaos, small_disk


@pytest.mark.daemon
@pytest.mark.docker
@pytest.mark.timeout(600)
def test_a_run_survives_what_machines_do(tmp_path: Path, steps_task: Path) -> None:
    assert os.geteuid() == 0, "only root can stop the daemon and fill a disk"
    with small_disk(tmp_path) as disk:
        report = chaos(
            tmp_path, disk, steps_task, seed=4, variants=200, faults=9, daemon=True
        )
    assert sum(report["faults"].values()) == 9

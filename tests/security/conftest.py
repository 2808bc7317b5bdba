"""What several tests of strangers' runs read: one run, made once and copied for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.strangers import copy_run, new_run, write_task


@pytest.fixture(scope="session")
def _first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strangers")


@pytest.fixture
def run(_first: Path, tmp_path: Path) -> Path:
    """A copy of a finished run of the smallest task; its owner signed it."""
    if not (_first / "runs").exists():
        new_run(_first, write_task(_first / "task"))
    return copy_run(_first / "runs" / "given", tmp_path / "runs")

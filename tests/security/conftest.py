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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is tried in both sandboxes is a slow test in Docker; CI runs it, too."""
    here = Path(__file__).parent
    for item in items:
        spec = getattr(item, "callspec", None)
        if spec is None or not item.path.is_relative_to(here):
            continue
        if "docker" in spec.params.values() and item.get_closest_marker("docker"):
            item.add_marker(pytest.mark.slow)

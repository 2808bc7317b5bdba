"""Folders of the host's for one box."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from evolve.sandbox import ProviderFault
from evolve.sandbox.folder import SharedFolder, remove_abandoned


def test_what_the_disk_refuses_is_the_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ProviderFault, match="can't be written"):
        SharedFolder(tmp_path / "file").write("agent", {"agent.py": b""})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ProviderFault, match="can't be written") as fault:
        SharedFolder.make()
    assert "TMPDIR" in fault.value.hint
    with pytest.raises(ProviderFault, match="can't be written"):
        remove_abandoned()

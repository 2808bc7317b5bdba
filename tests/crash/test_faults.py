"""The table of faults in docs/faults.md is what happens; no fault becomes a variant's failure."""

from __future__ import annotations

import os

import pytest

from tests.crash.faults import PAGE, cells, page


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount; CI runs as root")
def test_the_table_of_faults_is_what_happens() -> None:
    assert page(cells()) == PAGE.read_text(), "python -m tests.crash.faults writes it"

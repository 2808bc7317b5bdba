"""Which worker runs which test: one made thing that a whole file reads is made by one worker."""

from __future__ import annotations

from functools import cache

from xdist.scheduler import LoadScopeScheduling

from tests.conftest import ROOT


class FilesThatShare(LoadScopeScheduling):
    """Tests go to whoever is free; those of a file with fixtures for the module go together."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if _shares(file) else nodeid


@cache
def _shares(file: str) -> bool:
    return 'scope="module"' in (ROOT / file).read_text()

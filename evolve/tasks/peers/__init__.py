"""Task directories of other engines, read as they are: one file a format."""

from __future__ import annotations

from pathlib import Path

from evolve.tasks.peers import codeevolve, openevolve, shinka
from evolve.tasks.peers.peer import Peer, PeerTask

__all__ = ["Peer", "PeerTask", "read_peer"]

_FORMATS = ((shinka.fits, shinka.read), (openevolve.fits, openevolve.read),
            (codeevolve.fits, codeevolve.read))


def read_peer(folder: Path) -> PeerTask | None:
    """The task in a folder of another engine's; None when it is in no format that is known.

    Raises `TaskError`.
    """
    return next((read(folder) for fits, read in _FORMATS if fits(folder)), None)

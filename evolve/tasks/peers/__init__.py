"""Readers of other engines' task directories, one module per format."""

from pathlib import Path

from evolve.tasks.peers import codeevolve, openevolve, shinka
from evolve.tasks.peers.peer import Peer, PeerTask

__all__ = ["Peer", "PeerTask", "read_peer"]

_FORMATS = (
    (shinka.fits, shinka.read),
    (openevolve.fits, openevolve.read),
    (codeevolve.fits, codeevolve.read),
)


def read_peer(folder: Path) -> PeerTask | None:
    """Read the task directory of another engine.

    Args:
        folder: the task directory

    Returns:
        The task, or None if the folder is in none of the known formats.

    Raises:
        TaskError: the folder is in a known format, but invalid
    """
    return next((read(folder) for fits, read in _FORMATS if fits(folder)), None)

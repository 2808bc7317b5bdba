"""Versions of the programs that candidates run with: another one may change a score."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from evolve.archive import ArchiveReader
from evolve.evaluation.evaluator import Evaluator
from evolve.runs.folder import RunFolder
from evolve.sandbox import CandidateFault, ProviderFault
from evolve.sandbox.inside import wire

MOST_NAMED = 6  # differences in one message
_ASK = b"""
import importlib.metadata
import platform


def versions():
    found = {"Python": platform.python_version(), "machine": platform.machine()}
    for one in importlib.metadata.distributions():
        found[str(one.metadata["Name"])] = str(one.version)
    return found
"""


async def versions_in(evaluator: Evaluator) -> dict[str, str]:
    """Ask a sandbox what candidates run with.

    Args:
        evaluator: An open evaluator.

    Returns:
        Name -> version of Python and its packages; empty if the sandbox fails: the
        first evaluation meets that fault again and waits.
    """
    found: Any = {}
    try:
        async with evaluator.pool.session() as session:
            await session.load({"versions.py": _ASK}, "versions")
            reply = await session.call("versions", wire.encode(([], {})))
            found = wire.decode(reply.payload)
            await session.end()
    except (CandidateFault, ProviderFault):
        return {}
    return {str(name): str(version) for name, version in dict(found).items()}


def recorded_versions(archive: ArchiveReader) -> dict[str, str]:
    """Return the versions that the last process noted; empty for an early run."""
    last = archive.latest_events(("started",)).get("started")
    known: Any = last.data.get("versions") if last else None
    return {str(name): str(version) for name, version in (known or {}).items()}


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """Name the versions that differ.

    Args:
        before: Recorded versions; empty if they are unknown.
        now: Versions here; empty if they are unknown.

    Returns:
        One line; None without a difference, or if either is unknown.
    """
    if not before or not now:
        return None
    names = [name for name in (*before, *now) if before.get(name) != now.get(name)]
    unlike = list(dict.fromkeys(names))
    if not unlike:
        return None
    named = [
        f"{name} {before.get(name, 'none')} there and {now.get(name, 'none')} here"
        for name in unlike[:MOST_NAMED]
    ]
    more = len(unlike) - MOST_NAMED
    words = ", ".join(named) + (f", and {more} more" if more > 0 else "")
    return f"other versions than those of the run: {words}; scores may differ"


async def warn_of_versions(run: RunFolder, evaluator: Evaluator) -> str | None:
    """Compare the versions here with those of a run.

    Args:
        run: The run.
        evaluator: The open evaluator that scores its programs again.

    Returns:
        One line; None without a difference.
    """
    with closing(ArchiveReader.open(run.database)) as reader:
        before = recorded_versions(reader)
    return difference(before, await versions_in(evaluator)) if before else None

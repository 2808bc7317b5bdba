"""Put the stub in place: the same for an evaluator's process and for scripts that it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evolve.peers import decoding, guards, subprocesses
from evolve.peers.link import Link, Notes


def connect(candidate: Any, config: dict[str, Any]) -> Link:
    """From now on the candidate's file is a stub in this process, and in those that it starts."""
    scratch = Path(config["scratch"])
    link = Link(
        candidate,
        Notes(scratch),
        scratch,
        tuple(config["shared"]),
        config["descriptor"],
    )
    watch = guards.Watch(
        Path(config["program"]), config["evaluator_text"], Path(config["folder"])
    )
    guards.install(link, watch, config["name_inside"])
    decoding.install(link, watch, frozenset(config["shared"]))
    subprocesses.install(link, watch, config["name_inside"], config)
    return link

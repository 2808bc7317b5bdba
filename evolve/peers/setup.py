"""Installation of the stub, in an evaluator's process and in scripts that it starts."""

from pathlib import Path
from typing import Any

from evolve.candidate import Candidate
from evolve.peers import clocks, decoding, guards, subprocesses
from evolve.peers.allowance import LimitedCandidate
from evolve.peers.ledger import Ledger
from evolve.peers.link import Link, Notes
from evolve.sandbox.inside import heap


def connect(candidate: Candidate, config: dict[str, Any]) -> Link:
    """Make the candidate's file a stub in this process and those that it starts.

    Args:
        candidate: the candidate in its sandbox
        config: scratch folder, program, evaluator, shared modules and descriptor

    Returns:
        The connection to the candidate.
    """
    scratch = Path(config["scratch"])
    limit_s, limit_name = config["limit"]
    link = Link(
        LimitedCandidate(candidate, Ledger(scratch), limit_s, limit_name),
        Notes(scratch),
        scratch,
        tuple(config["shared"]),
        config["descriptor"],
        None if config["changes"] is None else tuple(config["changes"]),
        config["folder"],
    )
    watch = guards.Watch(
        Path(config["program"]), config["evaluator_text"], Path(config["folder"])
    )
    guards.install(link, watch, config["name_inside"])
    decoding.install(link, watch, frozenset(config["shared"]))
    subprocesses.install(link, watch, config["name_inside"], config)
    link.ledger["counts"] = link.ledger["counts"] or config["clocks"]
    if config["clocks"]:
        heap.keep()  # as in the sandbox, so that both work under equal conditions

    def read(path: str) -> None:
        link.clocks.reads += 1
        if not link.ledger["counts"] and watch.is_tasks(path):
            link.ledger["counts"] = 1

    clocks.install(link.clocks, read)
    return link

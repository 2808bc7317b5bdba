"""Everything in a run that a person should look at: flags of scores, of code, of what agents did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from evolve.agents.flags import flags_in, flags_in_reply, new_lines
from evolve.archive import (
    ArchiveReader,
    Call,
    CallPurpose,
    CodeStore,
    Lineage,
    Proposal,
)
from evolve.models import place_of


class Audited(NamedTuple):
    """One flag. `lineage` runs from the seed to the variant."""

    variant: str
    kind: str
    where: str  # a case, a file of the agent's, or a purpose and a step
    words: str
    lineage: tuple[str, ...]


def audit_run(archive: ArchiveReader, code: CodeStore) -> list[Audited]:
    """All flags of all variants, in the order of the decisions; each with its lineage."""
    lineage, found = Lineage(archive), []
    for proposal in archive.proposals():
        flags = list(_flags(archive, code, proposal))
        path = tuple(lineage.path(proposal.id)) if flags else ()
        found += [
            Audited(proposal.id, kind, where, words, path)
            for kind, where, words in flags
        ]
    return found


def _flags(
    archive: ArchiveReader, code: CodeStore, proposal: Proposal
) -> Iterator[tuple[str, str, str]]:
    if proposal.quarantined:
        yield "quarantined", "variant", "it counts for nothing"
    for row in archive.evaluations(proposal.id):
        if row.metrics.get("flags"):
            yield (
                str(row.metrics["flags"]).split()[0],
                f"case {row.case}",
                str(row.metrics["flags"]),
            )
    calls = [
        call
        for call in archive.calls(proposal.id)
        if call.purpose is CallPurpose.EPISODE
    ]
    if calls:  # an agent
        yield from _of_code(archive, code, proposal)
        for call in calls:
            yield from _of_call(call)


def _of_code(
    archive: ArchiveReader, code: CodeStore, proposal: Proposal
) -> Iterator[tuple[str, str, str]]:
    """Of the lines that its parents do not have: a flag is told where it came into the world."""
    if proposal.tree is None or not proposal.parents:
        return
    known: dict[str, bytes] = {}
    for parent in archive.some(proposal.parents):
        if parent.tree is not None:
            known |= {
                f"{parent.id}/{path}": data
                for path, data in code.files(parent.tree).items()
            }
    for path, lines in new_lines(known, code.files(proposal.tree)).items():
        for trip in flags_in(lines):
            yield trip.kind, f"file {path}", trip.words


def _of_call(call: Call) -> Iterator[tuple[str, str, str]]:
    """Of what a model told the agent to do; the words around it are no deed."""
    place = place_of(call)
    if place is None or call.reply is None:
        return
    for trip in flags_in_reply(call.reply):
        yield trip.kind, f"{place[0]}, step {place[2]}", trip.words

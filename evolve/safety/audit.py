"""All flags of a run for a person to check: of scores, code and actions of agents."""

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
    """A flag of a variant.

    Attributes:
        variant: id of the variant
        kind: such as "network" or "quarantined"
        where: a case, a file of the agent, or purpose and step of an episode
        words: the sign
        lineage: ids from the seed to the variant
    """

    variant: str
    kind: str
    where: str
    words: str
    lineage: tuple[str, ...]


def audit_run(archive: ArchiveReader, code: CodeStore) -> list[Audited]:
    """Return the flags of all variants.

    Args:
        archive: of the run
        code: of the run

    Returns:
        Flags in the order of the decisions, with lineages.
    """
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
    """Yield flags in lines that are new in this variant, where they first occur."""
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
    """Yield flags in the actions of a model's reply; prose is ignored."""
    place = place_of(call)
    if place is None or call.reply is None:
        return
    for trip in flags_in_reply(call.reply):
        yield trip.kind, f"{place[0]}, step {place[2]}", trip.words

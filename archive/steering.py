"""What a person told a run: bans, hints, programs; each with its event, in one transaction."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from sqlalchemy import insert, select, update

from evolve.archive.reader import ArchiveReader, pack_text
from evolve.archive.records import PERSON, CallPurpose, CallState, Proposal, State
from evolve.archive.schema import calls, events, proposals
from evolve.archive.store import Archive

STEERED = "steered"  # the kind of event
# how the message of a ban begins that no person has written
OF_PROMOTION = "promotion:"


class Hint(NamedTuple):
    """What models are told from an event on."""

    event: int
    text: str


class Ban(NamedTuple):
    """A variant counts for nothing from an event on."""

    event: int
    text: str  # why
    doubted: bool  # it did not count before, either
    by_person: bool  # else flags of a promotion


class Steering:
    """Writes what a person said. Inside one job of the writer each method is one transaction."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def ban(self, message: str, variant: str, text: str) -> int:
        """The variant counts for nothing from now on; returns the event's id."""
        of_it = proposals.c.id == variant
        with self._archive._writing() as connection:
            doubted = bool(
                connection.execute(
                    select(proposals.c.quarantined).where(of_it)
                ).scalar()
            )
            connection.execute(update(proposals).where(of_it).values(quarantined=True))
        return self._event(message, "ban", text, variant, doubted=doubted)

    def tell(self, message: str, text: str) -> int:
        """A hint for all prompts from now on; returns the event's id."""
        return self._event(message, "tell", text)

    def refuse(self, message: str, text: str) -> int:
        """It could not be done; returns the event's id."""
        return self._event(message, "refused", text)

    def add(self, message: str, proposal: Proposal, reply: str, text: str) -> int:
        """A program of a person: planned, and its reply stored, so that nobody else is asked."""
        with self._archive._writing() as connection:
            self._archive.plan(proposal)
            connection.execute(
                insert(calls),
                {
                    "proposal": proposal.id,
                    "purpose": CallPurpose.PROPOSE.value,
                    "step": 0,
                    "attempt": 0,
                    "model": PERSON,
                    "state": CallState.REPLIED.value,
                    "request": pack_text('{"messages": []}'),
                    "reply": pack_text(reply),
                    "reserved_tokens": 0,
                    "reserved_usd": 0.0,
                    "finish_reason": "stop",
                    "prompt_tokens": 0,
                    "completion_tokens": 0,
                    "cost_usd": 0.0,
                    "sent_at": self._archive.clock(),
                    "seconds": 0.0,
                },
            )
            connection.execute(
                update(proposals)
                .where(proposals.c.id == proposal.id)
                .values(state=State.REPLIED.value)
            )
        return self._event(message, "add", text, proposal.id)

    def _event(
        self,
        message: str,
        verb: str,
        text: str,
        proposal: str | None = None,
        **more: Any,
    ) -> int:
        with self._archive._writing() as connection:
            return self._archive._event(
                connection,
                STEERED,
                proposal,
                {"message": message, "verb": verb, "text": text} | more,
            )


def messages_taken(archive: ArchiveReader) -> set[str]:
    """The messages that the archive has already."""
    return {str(data.get("message")) for _, _, data in _steered(archive)}


def hints(archive: ArchiveReader, until: int | None = None) -> list[Hint]:
    """Hints up to an event, or all, the oldest first."""
    return [
        Hint(event, str(data["text"]))
        for event, _, data in _steered(archive)
        if data.get("verb") == "tell" and (until is None or event <= until)
    ]


def hint_text(archive: ArchiveReader, until: int) -> str:
    """What people have told the run up to an event, a line each."""
    return "\n".join(f"- {hint.text}" for hint in hints(archive, until))


def bans(archive: ArchiveReader) -> dict[str, Ban]:
    """By variant; the first counts."""
    return {
        proposal: Ban(
            event,
            str(data.get("text", "")),
            bool(data.get("doubted")),
            not str(data.get("message", "")).startswith(OF_PROMOTION),
        )
        for event, proposal, data in reversed(_steered(archive))
        if data.get("verb") == "ban" and proposal is not None
    }


def _steered(archive: ArchiveReader) -> list[tuple[int, str | None, dict[str, Any]]]:
    """Event, variant and data of all that people said, the oldest first."""
    query = (
        select(events.c.id, events.c.proposal, events.c.data)
        .where(events.c.kind == STEERED)
        .order_by(events.c.id)
    )
    return [(row[0], row[1], json.loads(row[2])) for row in archive.rows(query)]

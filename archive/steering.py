"""Steering of a live run by a person: bans, hints and programs, each with its event.

The change and its event are one transaction.
"""

import json
from typing import Any, NamedTuple

from sqlalchemy import select, update

from evolve.archive.reader import ArchiveReader
from evolve.archive.records import PERSON, Call, CallPurpose, CallState, Proposal, State
from evolve.archive.schema import events, proposals
from evolve.archive.store import Archive

STEERED = "steered"  # the kind of event
# prefix of the message of a ban that comes from a promotion, not from a person
OF_PROMOTION = "promotion:"


class Hint(NamedTuple):
    """A text that all prompts contain from an event on."""

    event: int
    text: str


class Ban(NamedTuple):
    """A variant that is quarantined from an event on.

    Attributes:
        event: Id of the event.
        text: The reason.
        doubted: Whether it was quarantined before the ban.
        by_person: False if the flags of a promotion caused it.
    """

    event: int
    text: str
    doubted: bool
    by_person: bool


class Steering:
    """Writes the changes that a person makes to a live run.

    Call the methods inside `Archive.together`, as jobs of the writer do: the change and
    its event are then one transaction.

    Args:
        archive: The archive to write.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def ban(self, message: str, variant: str, text: str) -> int:
        """Quarantine a variant from now on.

        Args:
            message: Id of the message, so that it is carried out once.
            variant: Id of the variant.
            text: The reason.

        Returns:
            Id of the event.
        """
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
        """Add a hint to all prompts from now on.

        Args:
            message: Id of the message.
            text: The hint.

        Returns:
            Id of the event.
        """
        return self._event(message, "tell", text)

    def refuse(self, message: str, text: str) -> int:
        """Record that a message could not be carried out.

        Args:
            message: Id of the message.
            text: Why it could not.

        Returns:
            Id of the event.
        """
        return self._event(message, "refused", text)

    def add(self, message: str, proposal: Proposal, reply: str, text: str) -> int:
        """Plan a program that a person added, with its reply, so that no model is used.

        Args:
            message: Id of the message.
            proposal: The decision.
            reply: The program, as a model's reply.
            text: A description for the event.

        Returns:
            Id of the event.
        """
        reply_of_person = Call(
            0,
            proposal.id,
            CallPurpose.PROPOSE,
            0,
            PERSON,
            request='{"messages": []}',
            state=CallState.REPLIED,
            reserved_tokens=0,
            reserved_usd=0.0,
            reply=reply,
            finish_reason="stop",
        )
        of_it = proposals.c.id == proposal.id
        with self._archive._writing() as connection:
            self._archive.plan(proposal)
            self._archive.send_calls([reply_of_person])
            connection.execute(
                update(proposals).where(of_it).values(state=State.REPLIED)
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
    """Return the ids of all messages that were carried out or refused.

    Args:
        archive: The archive to read.

    Returns:
        Ids of messages.
    """
    return {str(data.get("message")) for _, _, data in _steered(archive)}


def hints(archive: ArchiveReader, until: int | None = None) -> list[Hint]:
    """Return the hints that a person gave.

    Args:
        archive: The archive to read.
        until: Id of the last event to read; None: all.

    Returns:
        Oldest first.
    """
    return [
        Hint(event, str(data["text"]))
        for event, _, data in _steered(archive)
        if data.get("verb") == "tell" and (until is None or event <= until)
    ]


def hint_text(archive: ArchiveReader, until: int) -> str:
    """Return the hints up to an event as a list, one line each.

    Args:
        archive: The archive to read.
        until: Id of the last event to read.

    Returns:
        Lines that begin with "- "; empty without hints.
    """
    return "\n".join(f"- {hint.text}" for hint in hints(archive, until))


def bans(archive: ArchiveReader) -> dict[str, Ban]:
    """Return the bans by variant.

    Args:
        archive: The archive to read.

    Returns:
        Variant id -> its first ban.
    """
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
    """Return event, variant and data of all steering events, oldest first."""
    query = (
        select(events.c.id, events.c.proposal, events.c.data)
        .where(events.c.kind == STEERED)
        .order_by(events.c.id)
    )
    return [(row[0], row[1], json.loads(row[2])) for row in archive.rows(query)]

"""A ban by a person: written at once, or sent to the engine that works on the run."""

from contextlib import closing

from evolve.archive import Archive, Steering
from evolve.engine.control import Inbox
from evolve.errors import RunLocked
from evolve.runs.folder import RunFolder


def ban_variant(run: RunFolder, variant: str, why: str) -> bool:
    """Exclude a variant from being the best or a parent.

    Args:
        run: The run.
        variant: Id of a scored variant.
        why: The reason, stored with the ban.

    Returns:
        Whether the ban is in force; False if it waits for the engine of a live run.

    Raises:
        RunError: The run directory can't be written.
        ArchiveError: The archive can't be written.
    """
    inbox = Inbox(run.inbox)
    try:
        with run.lock(), closing(Archive.open_to_write(run.database)) as archive:
            with archive.together():
                Steering(archive).ban(inbox.new_id(), variant, why)
            archive.sync()
    except RunLocked:
        inbox.send("ban", variant=variant, text=why)
        return False
    return True

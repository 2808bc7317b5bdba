"""What is kept: every proposal, evaluation and model call of a run in SQL, all code in git.

This package knows neither the engine nor the sandbox.
"""

from archive.code import CodeStore, Commit
from archive.errors import ArchiveError, NotFound, StorageFull
from archive.group_commit import GroupCommit
from archive.novelty import NoveltyIndex, embed
from archive.outcomes import Outcome
from archive.reader import ArchiveReader
from archive.records import (
    SEED,
    Call,
    CallState,
    Evaluation,
    Event,
    Kept,
    Note,
    Proposal,
    Spend,
    State,
    Variant,
    derive_id,
)
from archive.snapshot import Snapshot
from archive.store import Archive

__all__ = [
    "SEED", "Archive", "ArchiveError", "ArchiveReader", "Call", "CallState", "CodeStore", "Commit",
    "Evaluation", "Event", "GroupCommit", "Kept", "NotFound", "Note", "NoveltyIndex", "Outcome",
    "Proposal", "Snapshot", "Spend", "State", "StorageFull", "Variant", "derive_id", "embed",
]

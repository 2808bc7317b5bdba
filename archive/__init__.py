"""What is kept: every proposal, evaluation and model call of a run in SQL, all code in git.

This package knows neither the engine nor the sandbox.
"""

from archive.browse import Browser, CaseScore, Cause, EvaluatorUse, ModelUse, Node
from archive.code import CodeStore, Commit
from archive.errors import ArchiveError, NotFound, StorageFull
from archive.evidence import Learned, known_at, learned_of
from archive.grid import Grid, GridStats
from archive.group_commit import GroupCommit
from archive.islands import Advance, Island, Islands
from archive.lineage import Contribution, Lineage
from archive.measures import BUILT_IN, Measure, measure_code, measure_rows
from archive.novelty import TOKENS, NoveltyIndex, Vector, embed, pack_vector, unit
from archive.outcomes import Outcome
from archive.promotion import (
    DROP,
    PROMOTE_AT,
    QUANTILE,
    Paired,
    drop_chance,
    e_value,
    interval,
    lower_quantile,
    paired,
)
from archive.ranking import Ranking
from archive.reader import ArchiveReader
from archive.records import (
    EMBEDDING,
    EPISODE,
    EVALUATE,
    JUDGE,
    PERSON,
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
from archive.snapshot import Frame, Snapshot
from archive.source import fingerprint
from archive.steering import (
    OF_PROMOTION,
    STEERED,
    Ban,
    Hint,
    Steering,
    bans,
    hint_text,
    hints,
    messages_taken,
)
from archive.store import Archive, StoredVector
from archive.trials import Interval

__all__ = [
    "BUILT_IN", "DROP", "EMBEDDING", "EPISODE", "EVALUATE", "JUDGE", "OF_PROMOTION", "PERSON",
    "PROMOTE_AT", "QUANTILE", "SEED", "STEERED", "TOKENS", "Advance", "Archive", "ArchiveError",
    "ArchiveReader", "Ban", "Browser", "Call", "CallState", "CaseScore", "Cause", "CodeStore",
    "Commit", "Contribution", "Evaluation", "EvaluatorUse", "Event", "Frame", "Grid", "GridStats",
    "GroupCommit", "Hint", "Interval", "Island", "Islands", "Kept", "Learned", "Lineage", "Measure",
    "ModelUse", "Node", "NotFound", "Note", "NoveltyIndex", "Outcome", "Paired", "Proposal",
    "Ranking", "Snapshot", "Spend", "State", "Steering", "StorageFull", "StoredVector", "Variant",
    "Vector", "bans", "derive_id", "drop_chance", "e_value", "embed", "fingerprint", "hint_text",
    "hints", "interval", "known_at", "learned_of", "lower_quantile", "measure_code", "measure_rows",
    "messages_taken", "pack_vector", "paired", "unit",
]

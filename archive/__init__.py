"""Storage of a run: proposals, evaluations and model calls in SQL, all code in git.

This package imports neither the engine nor the sandbox. Each name is imported from its
module on first access, so that reading a few figures of a run doesn't wait for
SQLAlchemy, numpy and git.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evolve.archive.as_of import TimedEvaluation, learned_of, rows_as_of
    from evolve.archive.attempts import AGGREGATE_KEY, Aggregate, of_attempts
    from evolve.archive.browse import Browser, ModelUse, Variant
    from evolve.archive.case_scores import Interval
    from evolve.archive.code import CodeStore, Commit, is_executable
    from evolve.archive.columns import Floats, Ints
    from evolve.archive.damage import Readable
    from evolve.archive.decision import (
        CONTEXT_KINDS,
        CaseAttempt,
        Decision,
        Kind,
        SharedPrompt,
    )
    from evolve.archive.errors import ArchiveError, Damaged, NotFound, StorageFull
    from evolve.archive.figures import Figures, figures_of
    from evolve.archive.grid import Grid
    from evolve.archive.group_commit import GroupCommit
    from evolve.archive.islands import Advance, Island, Islands
    from evolve.archive.lineage import Lineage
    from evolve.archive.measures import BUILT_IN, Measure, measure_code, measure_rows
    from evolve.archive.novelty import (
        TOKENS,
        NoveltyIndex,
        Vector,
        embed,
        pack_vector,
        unit,
    )
    from evolve.archive.outcomes import Outcome
    from evolve.archive.promotion import (
        DROP,
        PROMOTE_AT,
        Paired,
        drop_chance,
        e_value,
        interval,
        lower_quantile,
        paired,
    )
    from evolve.archive.ranking import Ranking
    from evolve.archive.reader import ArchiveReader
    from evolve.archive.records import (
        ADAPTED,
        PERSON,
        SEED,
        SIGNS,
        AddStatus,
        Call,
        CallPurpose,
        CallState,
        Evaluation,
        Event,
        Files,
        Note,
        Proposal,
        Reply,
        Spend,
        State,
        derive_id,
    )
    from evolve.archive.snapshot import Frame, Snapshot
    from evolve.archive.source import fingerprint
    from evolve.archive.steering import (
        OF_PROMOTION,
        STEERED,
        Steering,
        bans,
        hint_text,
        hints,
        messages_taken,
    )
    from evolve.archive.steps import Step
    from evolve.archive.store import Archive, StoredVector
    from evolve.archive.whole import make_whole, needs_log

__all__ = [
    "ADAPTED",
    "AGGREGATE_KEY",
    "BUILT_IN",
    "CONTEXT_KINDS",
    "DROP",
    "OF_PROMOTION",
    "PERSON",
    "PROMOTE_AT",
    "SEED",
    "SIGNS",
    "STEERED",
    "TOKENS",
    "AddStatus",
    "Advance",
    "Aggregate",
    "Archive",
    "ArchiveError",
    "ArchiveReader",
    "Browser",
    "Call",
    "CallPurpose",
    "CallState",
    "CaseAttempt",
    "CodeStore",
    "Commit",
    "Damaged",
    "Decision",
    "Evaluation",
    "Event",
    "Figures",
    "Files",
    "Floats",
    "Frame",
    "Grid",
    "GroupCommit",
    "Interval",
    "Ints",
    "Island",
    "Islands",
    "Kind",
    "Lineage",
    "Measure",
    "ModelUse",
    "NotFound",
    "Note",
    "NoveltyIndex",
    "Outcome",
    "Paired",
    "Proposal",
    "Ranking",
    "Readable",
    "Reply",
    "SharedPrompt",
    "Snapshot",
    "Spend",
    "State",
    "Steering",
    "Step",
    "StorageFull",
    "StoredVector",
    "TimedEvaluation",
    "Variant",
    "Vector",
    "bans",
    "derive_id",
    "drop_chance",
    "e_value",
    "embed",
    "figures_of",
    "fingerprint",
    "hint_text",
    "hints",
    "interval",
    "is_executable",
    "learned_of",
    "lower_quantile",
    "make_whole",
    "measure_code",
    "measure_rows",
    "messages_taken",
    "needs_log",
    "of_attempts",
    "pack_vector",
    "paired",
    "rows_as_of",
    "unit",
]

_NAMES_BY_MODULE = {
    "attempts": "AGGREGATE_KEY Aggregate of_attempts",
    "browse": "Browser ModelUse Variant",
    "code": "CodeStore Commit is_executable",
    "columns": "Floats Ints",
    "errors": "ArchiveError Damaged NotFound StorageFull",
    "as_of": "TimedEvaluation rows_as_of learned_of",
    "figures": "Figures figures_of",
    "whole": "make_whole needs_log",
    "damage": "Readable",
    "grid": "Grid",
    "group_commit": "GroupCommit",
    "islands": "Advance Island Islands",
    "lineage": "Lineage",
    "measures": "BUILT_IN Measure measure_code measure_rows",
    "novelty": "TOKENS NoveltyIndex Vector embed pack_vector unit",
    "outcomes": "Outcome",
    "promotion": "DROP PROMOTE_AT Paired drop_chance e_value interval lower_quantile "
    "paired",
    "ranking": "Ranking",
    "reader": "ArchiveReader",
    "decision": "CONTEXT_KINDS CaseAttempt Decision Kind SharedPrompt",
    "records": "ADAPTED PERSON SEED SIGNS Call CallPurpose CallState Evaluation Event Files AddStatus "
    "Note Proposal Reply Spend State derive_id",
    "snapshot": "Frame Snapshot",
    "source": "fingerprint",
    "steering": "OF_PROMOTION STEERED Steering bans hint_text hints messages_taken",
    "steps": "Step",
    "store": "Archive StoredVector",
    "case_scores": "Interval",
}
_MODULES = {
    name: module for module, names in _NAMES_BY_MODULE.items() for name in names.split()
}

if not TYPE_CHECKING:  # mypy sees only the names above

    def __getattr__(name: str) -> Any:
        """Import a name of this package on first access."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"evolve.archive.{_MODULES[name]}"), name)
        globals()[name] = value  # the next access skips this function
        return value

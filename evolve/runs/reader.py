"""A run opened for reading: the data that views show."""

from __future__ import annotations

import difflib
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from evolve.archive import (
    SIGNS,
    ArchiveReader,
    Call,
    CodeStore,
    Lineage,
    NotFound,
    Proposal,
    Snapshot,
    State,
    Variant,
)
from evolve.errors import UsageError
from evolve.peers.shared import EVALUATOR_SHARED
from evolve.runs.events import AT_ONCE
from evolve.runs.folder import RunFolder
from evolve.runs.summary import summary
from evolve.search import make_frame
from evolve.tasks import Task, load_task

MANY = 5000  # with this number of variants or more, only the best are ranked
# further rows to read: the database does not order equal scores by decision number
SPARE = 200


class Ranked(NamedTuple):
    """A scored variant in the ranking."""

    id: str
    score: float


class OpenRun:
    """Queries of views on one run, whose archive is opened read-only.

    Args:
        folder: The run.

    Raises:
        ArchiveError: The archive or the repository can't be read.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.archive = ArchiveReader.open(folder.database)
        self.code = CodeStore.open(folder.code)
        self._first: list[Ranked] = []  # the best of many variants, as far as read

    def close(self) -> None:
        """Close the database and the repository."""
        self.archive.close()
        self.code.close()

    def forget(self) -> None:
        """Drop all cached results, which may be out of date in a live run."""
        for name in (
            "variants",
            "count",
            "ranked",
            "_leader",
            "signs",
            "shares_evaluator",
        ):
            self.__dict__.pop(name, None)
        self._first = []

    @cached_property
    def task(self) -> Task:
        """The run's copy of its task."""
        return load_task(self.folder.path / "task")

    @cached_property
    def shares_evaluator(self) -> bool:
        """Whether candidates could reach the evaluator, as recorded in the seed's rows."""
        if self.task.peer is None or not self.count:
            return False
        rows = self.archive.evaluations(self.archive.first().id)
        return any(EVALUATOR_SHARED in row.metrics for row in rows)

    @cached_property
    def signs(self) -> dict[str, str]:
        """Flags of agents that a person should review: id of the variant -> description."""
        if self.task.spec.agent is None:
            return {}
        found: dict[str, str] = {}
        after = 0
        while events := self.archive.events_between(after, AT_ONCE, [SIGNS]):
            after = events[-1].id
            found |= {
                str(event.data["variant"]): str(event.data["signs"]) for event in events
            }
        return found

    @cached_property
    def variants(self) -> list[Variant]:
        """All variants, in decision order."""
        return [v for v in self.archive.variants() if v.proposal.is_variant]

    @cached_property
    def count(self) -> int:
        """Number of variants, with the seed, without reading them."""
        counts = self.archive.counts()
        return 1 + sum(
            counts.get(state, 0)
            for state in (State.PROPOSED, State.EVALUATING, State.SCORED, State.FAILED)
        )

    @cached_property
    def ranked(self) -> list[Ranked]:
        """Scored variants that are not quarantined, best first, ties to the earliest."""
        if self.archive.counts().get(State.EVALUATED):
            return self._ranked_by_merit()
        numbers, scores = self.archive.trusted(), self.archive.scores()
        sign = -1.0 if self.task.spec.maximize else 1.0
        found = [Ranked(name, scores[name]) for name in numbers if name in scores]
        return sorted(found, key=lambda r: (sign * r.score, numbers[r.id]))

    def _ranked_by_merit(self) -> list[Ranked]:
        """Rank variants by merit, as some were evaluated more often than others."""
        task = self.task
        snapshot = Snapshot.load(
            self.archive, task.spec.maximize, make_frame(task, self.folder.settings)
        )
        return [Ranked(p.id, snapshot.score_of(p.id)) for p in snapshot.by_merit()]

    @cached_property
    def _leader(self) -> list[Ranked]:
        return self.best(2)[:1]

    def leader(self) -> Ranked | None:
        """Return the best variant.

        Returns:
            The variant; None if none is scored.
        """
        return next(iter(self._leader), None)

    def best(self, count: int) -> list[Ranked]:
        """Return the best variants, without ranking all of a large archive.

        Args:
            count: Maximum number of variants.

        Returns:
            The first entries of `ranked`.
        """
        if (
            "ranked" in self.__dict__
            or self.count < MANY
            or self.archive.counts().get(State.EVALUATED)
        ):
            return self.ranked[:count]
        if count > len(self._first):
            self._first = self._best_of_many(max(count, SPARE))
        return self._first[:count]

    def _best_of_many(self, count: int) -> list[Ranked]:
        """Read the best and `SPARE` more, so that ties go to the earliest."""
        names = self.archive.best_scored(count + SPARE, self.task.spec.maximize)
        numbers = {p.id: p.number for p in self.archive.some(names)}
        sign = -1.0 if self.task.spec.maximize else 1.0
        found = [
            Ranked(name, score)
            for name, score in self.archive.scores(wanted=names).items()
        ]
        return sorted(found, key=lambda r: (sign * r.score, numbers[r.id]))[:count]

    def variant(self, proposal: Proposal) -> Variant:
        """Return a proposal with its score, number of children and cost."""
        found = self.archive.variants_of([proposal.id])
        return found[0]

    def proposal(self, which: str) -> Proposal:
        """Return one proposal.

        Args:
            which: Id, unique prefix of an id, decision number, "best" or "seed".

        Returns:
            The proposal.

        Raises:
            NotFound: No proposal matches, several do, or none is scored.
        """
        if which == "best":
            best = self.best(1)
            if not best:
                raise NotFound(
                    "no variant is scored yet", "resume the run: evolve resume"
                )
            return self.archive.proposal(best[0].id)
        if which == "seed":
            return self.archive.first()
        return self.archive.proposal(which)

    def parent_of(self, proposal: Proposal) -> Proposal | None:
        """Return the first parent of a proposal.

        Args:
            proposal: Any proposal.

        Returns:
            The parent; None for the seed.
        """
        return self.archive.proposal(proposal.parents[0]) if proposal.parents else None

    @cached_property
    def lineage(self) -> Lineage:
        """Queries on the descent of variants."""
        return Lineage(self.archive)

    def files(self, proposal: Proposal | None) -> dict[str, bytes]:
        """Return the files of a variant.

        Args:
            proposal: The variant; None: no files.

        Returns:
            Path -> content.

        Raises:
            NotFound: The proposal has no files.
        """
        if proposal is None:
            return {}
        if proposal.tree is None:
            raise NotFound(
                f"{proposal.id} has no files: it was {proposal.state}",
                f"see why: evolve show {proposal.id}",
            )
        return self.code.files(proposal.tree)

    def patch(self, old: Proposal | None, new: Proposal) -> str:
        """Return the unified diff between two variants, over all files.

        Args:
            old: The variant before; None: no files.
            new: The variant after.

        Returns:
            The diff; empty if they are equal.

        Raises:
            NotFound: A proposal has no files.
        """
        before, after = self.files(old), self.files(new)
        pieces: list[str] = []
        for path in sorted(before.keys() | after.keys()):
            left, right = (
                side.get(path, b"").decode(errors="replace").splitlines(keepends=True)
                for side in (before, after)
            )
            pieces += difflib.unified_diff(left, right, f"a/{path}", f"b/{path}")
        return "".join(
            piece if piece.endswith("\n") else piece + "\n" for piece in pieces
        )

    def write_files(self, proposal: Proposal, folder: Path) -> list[Path]:
        """Write a variant's files; those that begin with `#!` are executable.

        Args:
            proposal: The variant.
            folder: A new or empty directory.

        Returns:
            The paths of the files.

        Raises:
            UsageError: The directory is not empty.
            NotFound: The proposal has no files.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is not empty", "choose a new folder")
        written = []
        for name, content in self.files(proposal).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if content.startswith(b"#!") else 0o644)
            written.append(path)
        return written

    def summary(self) -> dict[str, Any]:
        """Return one line of `evolve ls` as JSON data; see `summary`."""
        counts, spend = self.archive.counts(), self.archive.spend()
        best = self.leader()
        return summary(
            self.folder,
            counts,
            spend.usd,
            best.id if best else None,
            best.score if best else None,
        )

    def variants_data(self) -> list[dict[str, Any]]:
        """Return all variants for `evolve tree --json`.

        Returns:
            JSON data, in decision order.
        """
        return [self._data(variant) for variant in self.variants]

    def detail_data(self, proposal: Proposal) -> dict[str, Any]:
        """Return everything about one proposal for `evolve show --json`.

        Args:
            proposal: The proposal with message and log.

        Returns:
            JSON data; `patch` is None for a proposal without files.
        """
        variant = self.variant(proposal)
        evaluations = [
            {
                "case": row.case,
                "split": row.split,
                "attempt": row.attempt,
                "score": row.score,
                "metrics": dict(row.metrics),
                "feedback": row.feedback,
                "reason": row.reason,
                "message": row.message,
                "seconds": row.seconds,
                "cpu_s": row.cpu_s,
                "peak_memory_bytes": row.peak_memory_bytes,
            }
            for row in self.archive.evaluations(proposal.id)
        ]
        has_files = proposal.tree is not None
        return self._data(variant) | {
            "message": proposal.message,
            "log": proposal.log,
            "commit": proposal.commit,
            "evaluations": evaluations,
            "calls": [_call_data(call) for call in self.archive.calls(proposal.id)],
            "patch": self.patch(self.parent_of(proposal), proposal)
            if has_files
            else None,
        }

    def _data(self, variant: Variant) -> dict[str, Any]:
        data = _variant_data(variant) | {"evaluator_shared": self.shares_evaluator}
        if self.task.spec.agent is not None:
            data[SIGNS] = self.signs.get(variant.proposal.id)
        return data


def _variant_data(variant: Variant) -> dict[str, Any]:
    proposal = variant.proposal
    return {
        "id": proposal.id,
        "number": proposal.number,
        "parents": list(proposal.parents),
        "operator": proposal.operator,
        "status": proposal.state.value,
        "score": variant.score,
        "improvement": proposal.improvement,
        "novelty": proposal.novelty,
        "kept": proposal.kept.value if proposal.kept else None,
        "note": proposal.note,
        "reason": proposal.reason,
        "children": variant.children,
        "quarantined": proposal.quarantined,
        "cost_usd": variant.cost_usd,
    }


def _call_data(call: Call) -> dict[str, Any]:
    return {
        "model": call.model,
        "purpose": call.purpose.value,
        "step": call.step,
        "attempt": call.attempt,
        "state": call.state.value,
        "request": call.request,
        "reply": call.reply,
        "finish_reason": call.finish_reason,
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": call.completion_tokens,
        "cost_usd": call.cost_usd,
        "error": call.error,
        "seconds": call.seconds,
    }

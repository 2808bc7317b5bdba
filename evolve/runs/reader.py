"""A run opened for reading: what views ask for, as plain data."""

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

MANY = 5000  # variants, from which on only the best are ranked
# more than are asked for, as the database does not say which of equals is the earliest
SPARE = 200


class Ranked(NamedTuple):
    """A scored variant."""

    id: str
    score: float


class OpenRun:
    """Questions of views to one run; the archive is opened read-only."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.archive = ArchiveReader.open(folder.database)
        self.code = CodeStore.open(folder.code)
        self._first: list[Ranked] = []  # of many, as far as somebody asked

    def close(self) -> None:
        """Give the database and the packs back."""
        self.archive.close()
        self.code.close()

    def forget(self) -> None:
        """What was read of a live run may be old: read it again."""
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
        """Whether the scores were in the candidates' reach: the seed's row says it."""
        if self.task.peer is None or not self.count:
            return False
        rows = self.archive.evaluations(self.archive.first().id)
        return any(EVALUATOR_SHARED in row.metrics for row in rows)

    @cached_property
    def signs(self) -> dict[str, str]:
        """Agents that a person should look at, as was noticed while the run went on."""
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
        """Everything that became a variant, in the order of the decisions."""
        return [v for v in self.archive.variants() if v.proposal.is_variant]

    @cached_property
    def count(self) -> int:
        """How many there are, the seed included, without reading them."""
        counts = self.archive.counts()
        return 1 + sum(
            counts.get(state, 0)
            for state in (State.PROPOSED, State.EVALUATING, State.SCORED, State.FAILED)
        )

    @cached_property
    def ranked(self) -> list[Ranked]:
        """Scored variants that are not quarantined, the best first; of equals the earliest."""
        if self.archive.counts().get(State.EVALUATED):
            return self._ranked_by_merit()
        numbers, scores = self.archive.trusted(), self.archive.scores()
        sign = -1.0 if self.task.spec.maximize else 1.0
        found = [Ranked(name, scores[name]) for name in numbers if name in scores]
        return sorted(found, key=lambda r: (sign * r.score, numbers[r.id]))

    def _ranked_by_merit(self) -> list[Ranked]:
        """Where some were evaluated more than others, by what is sure."""
        task = self.task
        snapshot = Snapshot.load(
            self.archive, task.spec.maximize, make_frame(task, self.folder.settings)
        )
        return [Ranked(p.id, snapshot.score_of(p.id)) for p in snapshot.by_merit()]

    @cached_property
    def _leader(self) -> list[Ranked]:
        return self.best(2)[:1]

    def leader(self) -> Ranked | None:
        """The best of all, read once; None while nothing is scored."""
        return next(iter(self._leader), None)

    def best(self, count: int) -> list[Ranked]:
        """The best of `ranked`, without ranking all of a large archive."""
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
        """A few more are read: of equals the earliest come first."""
        names = self.archive.best_scored(count + SPARE, self.task.spec.maximize)
        numbers = {p.id: p.number for p in self.archive.some(names)}
        sign = -1.0 if self.task.spec.maximize else 1.0
        found = [
            Ranked(name, score)
            for name, score in self.archive.scores(wanted=names).items()
        ]
        return sorted(found, key=lambda r: (sign * r.score, numbers[r.id]))[:count]

    def variant(self, proposal: Proposal) -> Variant:
        """A proposal with its score, children and cost."""
        found = self.archive.variants_of([proposal.id])
        return found[0]

    def proposal(self, which: str) -> Proposal:
        """By id, unique prefix, number, "best" or "seed". Raises `NotFound`."""
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
        """The first parent; None for the seed."""
        return self.archive.proposal(proposal.parents[0]) if proposal.parents else None

    @cached_property
    def lineage(self) -> Lineage:
        """Who comes from whom."""
        return Lineage(self.archive)

    def files(self, proposal: Proposal | None) -> dict[str, bytes]:
        """The files of a variant. Raises `NotFound` for a proposal without any."""
        if proposal is None:
            return {}
        if proposal.tree is None:
            raise NotFound(
                f"{proposal.id} has no files: it was {proposal.state}",
                f"see why: evolve show {proposal.id}",
            )
        return self.code.files(proposal.tree)

    def patch(self, old: Proposal | None, new: Proposal) -> str:
        """A unified diff over all files."""
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
        """Write a variant's files. Raises `UsageError` when the folder holds something."""
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
        """A line of `evolve ls`."""
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
        """`evolve tree --json`: every variant."""
        return [self._data(variant) for variant in self.variants]

    def detail_data(self, proposal: Proposal) -> dict[str, Any]:
        """`evolve show --json`: everything about one proposal."""
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

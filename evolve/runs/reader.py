"""A run opened for reading: what views ask for, as plain data."""

from __future__ import annotations

import difflib
from functools import cached_property
from pathlib import Path
from typing import Any

from evolve.archive import (
    SIGNS,
    ArchiveReader,
    Browser,
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


class OpenRun:
    """Questions of views to one run; the archive is opened read-only."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.archive = ArchiveReader.open(folder.database)
        self.browser = Browser(self.archive)
        self.code = CodeStore.open(folder.code)
        self._first: list[Variant] = []  # the best of many, as far as requested

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
            "leader",
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
        """Proposals that passed the checks, in the order of the decisions."""
        return [variant for variant in self.browser.variants() if variant.passed]

    @cached_property
    def count(self) -> int:
        """How many there are, the seed included, without reading them."""
        counts = self.archive.counts()
        return 1 + sum(
            counts.get(state, 0)
            for state in (State.PROPOSED, State.EVALUATING, State.SCORED, State.FAILED)
        )

    @cached_property
    def ranked(self) -> list[str]:
        """Ids of scored variants that are not quarantined, best first; of equals the earliest."""
        if self.archive.counts().get(State.EVALUATED):
            return self._ranked_by_merit()
        numbers, scores = self.archive.trusted(), self.archive.scores()
        return sorted(
            numbers.keys() & scores.keys(),
            key=lambda name: (self.sign * scores[name], numbers[name]),
        )

    def _ranked_by_merit(self) -> list[str]:
        """Where some were evaluated more than others, by what is sure."""
        task = self.task
        snapshot = Snapshot.load(
            self.archive, task.spec.maximize, make_frame(task, self.folder.settings)
        )
        return [proposal.id for proposal in snapshot.by_merit()]

    @property
    def sign(self) -> float:
        """Factor that sorts the best score first."""
        return -1.0 if self.task.spec.maximize else 1.0

    @cached_property
    def leader(self) -> Variant | None:
        """The best variant; None while nothing is scored."""
        return next(iter(self.best(1)), None)

    def best(self, count: int) -> list[Variant]:
        """Return the first of `ranked`, without ranking all of a large archive.

        Args:
            count: maximum number of variants

        Returns:
            The best first.
        """
        if (
            "ranked" in self.__dict__
            or self.count < MANY
            or self.archive.counts().get(State.EVALUATED)
        ):
            names = self.ranked[:count]
            found = {variant.id: variant for variant in self.browser.variants(names)}
            return [found[name] for name in names]
        if count > len(self._first):
            self._first = self._best_of_many(max(count, SPARE))
        return self._first[:count]

    def _best_of_many(self, count: int) -> list[Variant]:
        """Return the best; a few more are read, as of equals the earliest come first."""
        names = self.archive.best_scored(count + SPARE, self.task.spec.maximize)
        return sorted(
            self.browser.variants(names),
            key=lambda v: (self.sign * (v.score or 0.0), v.number),
        )[:count]

    def variant(self, proposal: Proposal) -> Variant:
        """Return a proposal's row: score, children and cost."""
        return self.browser.variants([proposal.id])[0]

    def proposal(self, which: str) -> Proposal:
        """By id, unique prefix, number, "best" or "seed". Raises `NotFound`."""
        if which == "best":
            if self.leader is None:
                raise NotFound(
                    "no variant is scored yet", "resume the run: evolve resume"
                )
            return self.archive.proposal(self.leader.id)
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
        best = self.leader
        return summary(
            self.folder,
            counts,
            spend.usd,
            best.id if best else None,
            best.score if best else None,
        )

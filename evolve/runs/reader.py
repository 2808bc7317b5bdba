"""A run opened for reading: the data that views show."""

import difflib
from collections.abc import Sequence
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
    is_executable,
)
from evolve.errors import UsageError
from evolve.peers.formats import TRANSPORT
from evolve.peers.shared import EVALUATOR_SHARED
from evolve.runs.events import AT_ONCE
from evolve.runs.folder import RunFolder
from evolve.runs.summary import summary
from evolve.search import make_frame
from evolve.tasks import Task, load_task, unmarked

MANY = 5000  # with this number of variants or more, only the best are ranked
# further rows to read: the database does not order equal scores by decision number
SPARE = 200


def make_folder(folder: Path) -> None:
    """Make a new directory for output.

    Args:
        folder: Its path; an empty directory may be there.

    Raises:
        UsageError: It is a file, or not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty", "choose a new folder")
    folder.mkdir(parents=True, exist_ok=True)


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
        self._first: list[Variant] = []  # the best of many, as far as requested
        self._nearest: dict[str, str] = {}

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
            "leader",
            "signs",
            "shares_evaluator",
            "through_transport",
        ):
            self.__dict__.pop(name, None)
        self._first = []

    @cached_property
    def browser(self) -> Browser:
        """Queries of pages and tables."""
        return Browser(self.archive, self.task.spec.maximize)

    @cached_property
    def task(self) -> Task:
        """The run's copy of its task."""
        return load_task(self.folder.path / "task", hashed=False)

    @cached_property
    def shares_evaluator(self) -> bool:
        """Whether candidates could reach the evaluator, as recorded in the seed's rows."""
        if self.task.peer is None or not self.count:
            return False
        rows = self.archive.evaluations(self.archive.first().id)
        return any(EVALUATOR_SHARED in row.metrics for row in rows)

    @cached_property
    def through_transport(self) -> str | None:
        """How wrong the evaluator's times are, as recorded in the seed's rows."""
        if self.task.peer is None or not self.count:
            return None
        rows = self.archive.evaluations(self.archive.first().id)
        wrong = [row.metrics[TRANSPORT] for row in rows if TRANSPORT in row.metrics]
        return f"{TRANSPORT}, x {wrong[0]} on the seed" if wrong else None

    @cached_property
    def signs(self) -> dict[str, str]:
        """Flags of agents that a person should review: id of the variant -> description."""
        if self.task.spec.agent is None:
            return {}
        found: dict[str, str] = {}
        after = 0
        while events := self.archive.events(after, AT_ONCE, [SIGNS]):
            after = events[-1].id
            found |= {
                str(event.data["variant"]): str(event.data["signs"]) for event in events
            }
        return found

    @cached_property
    def variants(self) -> list[Variant]:
        """All variants, in decision order."""
        return [variant for variant in self.browser.variants() if variant.passed]

    @cached_property
    def count(self) -> int:
        """Number of variants, with the seed, without reading them."""
        counts = self.archive.counts()
        return 1 + sum(
            counts.get(state, 0)
            for state in (State.PROPOSED, State.EVALUATING, State.SCORED, State.FAILED)
        )

    @cached_property
    def ranked(self) -> list[str]:
        """Ids of scored variants that are not quarantined, best first, ties to the earliest."""
        if self.archive.counts().get(State.EVALUATED):
            task = self.task
            snapshot = Snapshot.load(
                self.archive, task.spec.maximize, make_frame(task, self.folder.settings)
            )
            return [proposal.id for proposal in snapshot.by_merit()]
        numbers, scores = self.archive.trusted(), self.archive.scores()
        return sorted(
            numbers.keys() & scores.keys(),
            key=lambda name: (self.sign * scores[name], numbers[name]),
        )

    @cached_property
    def confirmed(self) -> str | None:
        """The gain of the best on new inputs, in words; None if no look was made."""
        timed = self.task.spec.timing is not None
        if not timed and self.folder.settings.repeats == 1:
            return None
        from evolve.timing.confirmation import CONFIRMED, read_confirmation

        found = read_confirmation(self.archive.events(kinds=(CONFIRMED,)))
        if found is None and not timed:
            return None
        best = self.leader
        if best is None or best.number == 0:
            return "no improvement that is sure"
        if found is None or found.variant != best.id:
            return "not confirmed on new inputs yet"
        return found.in_words()

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
        """Read the best and `SPARE` more, so that ties go to the earliest."""
        names = self.archive.best_scored(count + SPARE, self.task.spec.maximize)
        return sorted(
            self.browser.variants(names),
            key=lambda v: (self.sign * (v.score or 0.0), v.number),
        )[:count]

    def variant(self, proposal: Proposal) -> Variant:
        """Return a proposal with its score, number of children and cost."""
        return self.browser.variants([proposal.id])[0]

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
            if self.leader is None:
                raise NotFound(
                    "no variant is scored yet", "resume the run: evolve resume"
                )
            return self.archive.proposal(self.leader.id)
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

    def nearest_parent(self, variant: str, parents: Sequence[str]) -> str | None:
        """Return the parent with the smallest difference from a variant.

        Args:
            variant: Id of the variant.
            parents: Ids of its parents, the first parent first.

        Returns:
            Id of the parent, the first of equals; None without parents.
        """
        if len(parents) < 2:
            return next(iter(parents), None)
        if variant not in self._nearest:
            child = self.archive.proposal(variant)
            sizes = {
                name: len(self.patch(self.archive.proposal(name), child))
                for name in parents
            }
            self._nearest[variant] = min(parents, key=sizes.__getitem__)
        return self._nearest[variant]

    def path(self, variant: str) -> list[str]:
        """Return the path from the seed to a variant, by the nearest parents.

        Args:
            variant: Id of the variant.

        Returns:
            Ids, the seed first.

        Raises:
            NotFound: The variant is unknown, or has no files.
        """
        found: list[str] = []
        now: str | None = variant
        while now is not None:
            found.append(now)
            now = self.nearest_parent(now, self.archive.proposal(now).parents)
        return found[::-1]

    def files(self, proposal: Proposal | None) -> dict[str, bytes]:
        """Return the files of a variant, without the markers that the run added.

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
        return unmarked(self.code.files(proposal.tree))

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
        make_folder(folder)
        written = []
        for name, content in self.files(proposal).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if is_executable(content) else 0o644)
            written.append(path)
        return written

    def summary(self) -> dict[str, Any]:
        """Return one line of `evolve ls` as JSON data; see `summary`."""
        counts, spend = self.archive.counts(), self.archive.spend()
        best = self.leader
        return summary(
            self.folder,
            counts,
            spend.usd,
            best.id if best else None,
            best.score if best else None,
        )

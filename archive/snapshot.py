"""The in-memory view of policies: scored variants in columns.

Loaded once, then updated by each write.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evolve.archive.attempts import Aggregate, of_values
from evolve.archive.case_scores import CaseScores, Trial
from evolve.archive.clades import ORPHAN, Clades
from evolve.archive.columns import Floats, GrowableArray, Ints
from evolve.archive.decision import Kind
from evolve.archive.grid import Grid
from evolve.archive.islands import Archipelago, Island, Islands
from evolve.archive.measures import Measure
from evolve.archive.novelty import NoveltyIndex, Vector
from evolve.archive.outcomes import Outcome, Spent, outcome_of, spent_by_proposal
from evolve.archive.ranking import Ranking
from evolve.archive.reader import ArchiveReader
from evolve.archive.records import Call, Evaluation, Observation, Proposal, State
from evolve.archive.robust_scores import RobustScores
from evolve.archive.steering import bans, hints
from evolve.archive.steps import Steps

Observed = Iterable[Evaluation | Observation]
_WHOLE = ""  # the only case of a task that declares none


@dataclass(frozen=True)
class Frame:
    """Constants of a snapshot, from the task and the settings of the run.

    Attributes:
        cases: Cases of the search split; empty: one score per variant.
        repeats: Maximum attempts per case of a noisy task; 1: no noise.
        aggregate: How the attempts at a case make its score.
        budget: Maximum number of variants; None: no limit.
        islands: Settings of the islands.
        measures: Axes of the grid.
    """

    cases: tuple[str, ...] = ()
    repeats: int = 1
    budget: int | None = None
    islands: Islands = field(default_factory=Islands)
    measures: tuple[Measure, ...] = ()
    aggregate: Aggregate = "mean"


def _case_scores(frame: Frame, maximize: bool) -> CaseScores:
    cases = frame.cases or (_WHOLE,)
    aggregator = of_values(frame.aggregate, maximize)
    return CaseScores(cases) if aggregator is None else RobustScores(cases, aggregator)


class Snapshot:
    """Columns over the scored variants of a run, one row each in order of scoring.

    A value is a score with its sign turned so that higher is better. Policies only
    read.

    Args:
        maximize: Whether a higher score is better.
        frame: Constants of the task and the run; None: the defaults.
    """

    def __init__(self, maximize: bool, frame: Frame | None = None) -> None:
        self.sign = 1.0 if maximize else -1.0
        self.frame = frame or Frame()
        self.proposals: list[Proposal] = []
        self.last_event = 0
        self.clades = Clades()
        self.space = NoveltyIndex()
        self.case_scores = _case_scores(self.frame, maximize)
        self.ranking = Ranking()  # by value, without quarantined variants
        self.archipelago = Archipelago(
            self.frame.islands, lambda: Grid(self.frame.measures)
        )
        # by merit, once that differs from the value for some row
        self._merit: Ranking | None = None
        self._row: dict[str, int] = {}
        self._failed: dict[str, list[str]] = {}
        self._turned: dict[str, list[str]] = {}
        self._scored: dict[str, list[int]] = {}  # first parent -> rows of its children
        # of every finished proposal, in order of finishing
        self.outcomes: list[Outcome] = []
        self._spent: dict[str, Spent] = {}
        self.steps = Steps()
        self.notes: int | None = None  # number of the newest notes
        self.hints: int | None = None  # event of a person's newest hint
        self._value = GrowableArray(np.float64)
        self._children = GrowableArray(np.int64)
        self._finished = GrowableArray(np.int64)
        self._trusted = GrowableArray(np.bool_)
        # improvement over the best parent, as of scoring
        self._gain = GrowableArray(np.float64)
        self._doubtful = self._planned = self._done = 0
        self._measures = GrowableArray(np.float64, len(self.frame.measures))

    @classmethod
    def load(
        cls,
        archive: ArchiveReader,
        maximize: bool,
        frame: Frame | None = None,
        everything: Sequence[Proposal] | None = None,
    ) -> "Snapshot":
        """Read an archive; the result equals a snapshot that saw every write in order.

        Args:
            archive: The archive to read.
            maximize: Whether a higher score is better.
            frame: Constants of the task and the run; None: the defaults.
            everything: All proposals, if they were read before; None: read them.

        Returns:
            The snapshot as of the archive's last event.
        """
        snapshot = cls(maximize, frame)
        everything = archive.proposals(short=True) if everything is None else everything
        snapshot._spent = spent_by_proposal(archive)
        ended = [p for p in everything if p.state.finished]
        snapshot._replay(sorted(ended, key=lambda p: p.finished_event or 0), archive)
        for proposal in everything:
            if proposal.kind is Kind.EVALUATE:
                if not proposal.state.finished:
                    snapshot.expect_evaluation(proposal)
            elif proposal.state is not State.REJECTED:
                snapshot.expect(proposal.parents)
            if not proposal.state.finished:
                snapshot.steps.plan(proposal)
        snapshot.notes = next((note.number for note in reversed(archive.notes())), None)
        snapshot.hints = max((hint.event for hint in hints(archive)), default=None)
        snapshot.last_event = archive.last_event()
        return snapshot

    def _replay(self, ended: Sequence[Proposal], archive: ArchiveReader) -> None:
        """Apply finished proposals in order, each evaluation with its own decision.

        A banned variant counts until the event of its ban.
        """
        banned = {
            name: ban.event for name, ban in bans(archive).items() if not ban.doubted
        }
        due = deque(sorted(banned, key=banned.__getitem__))
        observations = archive.observations()
        measured = archive.measures() if self.frame.measures else {}
        later = {(p.parents[0], *p.evaluates) for p in ended if p.kind is Kind.EVALUATE}
        for proposal in ended:
            while due and banned[due[0]] < (proposal.finished_event or 0):
                self.quarantine(due.popleft())
            if proposal.id in banned:
                proposal = replace(proposal, quarantined=False)
            if proposal.kind is Kind.EVALUATE:
                wanted = proposal.evaluates
                self.observe(
                    proposal.parents[0],
                    [
                        found
                        for found in observations.get(proposal.parents[0], ())
                        if (found.case, found.attempt) == wanted
                    ],
                )
            elif proposal.state is State.SCORED:
                rows = (
                    observations.get(proposal.id, ())
                    if later
                    else observations.pop(proposal.id, ())
                )
                self.add(
                    proposal,
                    None,
                    [
                        found
                        for found in rows
                        if not later
                        or (proposal.id, found.case, found.attempt) not in later
                    ],
                    measured=measured.pop(proposal.id, {}),
                )
            elif proposal.state is State.FAILED:
                self.fail(proposal)
            else:
                self.record_rejection(proposal)
        for name in due:
            self.quarantine(name)
        for packed in archive.vectors([proposal.id for proposal in self.proposals]):
            self.space.extend(packed)

    def __len__(self) -> int:
        return len(self.proposals)

    def __contains__(self, proposal: str) -> bool:
        return proposal in self._row

    @property
    def values(self) -> Floats:
        """Scores with higher is better, shape (n,)."""
        return self._value.rows

    @property
    def children(self) -> Ints:
        """Number of proposals made from each row, shape (n,).

        Pending and failed ones count, rejected ones do not.
        """
        return self._children.rows

    @property
    def pending(self) -> Ints:
        """Number of children decided and not yet scored or failed, shape (n,)."""
        return np.asarray(np.maximum(self._children.rows - self._finished.rows, 0))

    @property
    def waiting(self) -> int:
        """Number of children decided and not yet scored or failed, over all rows."""
        return max(self._planned - self._done, 0)

    @property
    def made(self) -> int:
        """Number of variants that are scored, failed or in flight, without the seed."""
        return self._done + self.waiting - 1

    @property
    def trusted(self) -> Ints:
        """Indices of non-quarantined rows; every row if all are quarantined."""
        if not self._doubtful:
            return np.arange(len(self))
        rows = np.flatnonzero(self._trusted.rows)
        return rows if len(rows) else np.arange(len(self))

    @property
    def measures(self) -> Floats:
        """Measures, shape (n, measures); NaN where a variant lacks one."""
        return self._measures.rows

    @property
    def islands(self) -> Sequence[Island]:
        """The islands with their members, rankings and grids."""
        return self.archipelago.islands

    def row_of(self, proposal: str) -> int:
        """Return the row of a scored variant.

        Args:
            proposal: Its id.

        Returns:
            The row, from 0.

        Raises:
            KeyError: It is not scored.
        """
        return self._row[proposal]

    def ids(self, rows: Iterable[int]) -> tuple[str, ...]:
        """Return the ids of rows.

        Args:
            rows: Indices of rows.

        Returns:
            Ids in the given order.
        """
        return tuple(self.proposals[int(row)].id for row in rows)

    def proposal(self, proposal: str) -> Proposal:
        """Return the record of a scored variant.

        Args:
            proposal: Its id.

        Returns:
            The record, without prompt context and measures.

        Raises:
            KeyError: It is not scored.
        """
        return self.proposals[self._row[proposal]]

    def value_of(self, proposal: str) -> float:
        """Return the value of a scored variant.

        Args:
            proposal: Its id.

        Returns:
            Higher is better.

        Raises:
            KeyError: It is not scored.
        """
        return float(self._value.rows[self._row[proposal]])

    def score_of(self, proposal: str) -> float:
        """Return the score of a scored variant, with the sign of the task.

        Args:
            proposal: Its id.

        Returns:
            The score.

        Raises:
            KeyError: It is not scored.
        """
        return self.value_of(proposal) * self.sign

    def score_by(self, rows: Iterable[Evaluation]) -> float:
        """Return the score that exactly these evaluations give a variant.

        Args:
            rows: Evaluations of one variant.

        Returns:
            The score with the sign of the task; NaN if no evaluation counts for the
            search.
        """
        return self.case_scores.mean_of(self._trials_of(rows)) * self.sign

    def merit(self, row: int) -> float:
        """Return the value if it is exact, otherwise the lower end of its interval.

        It is exact for a task without noise and a row with a score for every case.

        Args:
            row: Row of the variant.

        Returns:
            Higher is better; -inf for an interval without limits.
        """
        if self.frame.repeats == 1 and self.case_scores.complete(row):
            return float(self.values[row])
        return self.case_scores.interval(row).low

    def add(
        self,
        proposal: Proposal,
        score: float | None = None,
        observed: Observed = (),
        vector: Vector | None = None,
        measured: Mapping[str, float] | None = None,
    ) -> None:
        """Add a scored variant as the next row.

        Args:
            proposal: Its record.
            score: Its score as a whole, used if no evaluation has a score.
            observed: Its evaluations.
            vector: Its vector for novelty; None adds none.
            measured: Its measures; None: those of the record.
        """
        row = len(self)
        self._row[proposal.id] = row
        parent = (
            self._row.get(proposal.parents[0], ORPHAN) if proposal.parents else ORPHAN
        )
        self.clades.append(parent)
        seen = self._trials_of(observed)
        if score is not None and not any(trial.value is not None for trial in seen):
            seen += [
                Trial(case, -1, score * self.sign) for case in self.case_scores.cases
            ]
        known = self.case_scores.append(seen)
        for trial in seen:
            if trial.value is not None:
                self.clades.observe(row, trial.value)
        known_measures = proposal.measures if measured is None else measured
        measures = [known_measures.get(m.name, math.nan) for m in self.frame.measures]
        self._value.append(known.mean)
        self._children.append(0)
        self._finished.append(0)
        self._trusted.append(not proposal.quarantined)
        self._doubtful += proposal.quarantined
        self._measures.append(measures)
        self.proposals.append(proposal.in_short())
        self._gain.append(proposal.improvement or 0.0)
        if vector is not None:
            self.space.append(vector)
        for first in proposal.parents[:1]:
            self._scored.setdefault(first, []).append(row)
        self._end(proposal)
        value = None if proposal.quarantined else known.mean
        if value is not None:
            self.ranking.add(row, value)
            sure = self.frame.repeats == 1 and known.complete
            self._judge(
                row, value if sure else self.case_scores.interval(row).low, value
            )
        self.archipelago.add(
            proposal.island, self.islands[0].grid.cell(measures), value
        )

    def _judge(self, row: int, merit: float | None, value: float | None) -> None:
        """Rank a row by merit; while merits equal values, one ranking serves both."""
        if self._merit is None and merit != value:
            self._merit = Ranking()
            for ranked in self.ranking.top(len(self)):
                self._merit.add(ranked.row, self.merit(ranked.row))
        if self._merit is not None:
            self._merit.update(row, merit)

    def observe(self, variant: str, observed: Observed) -> None:
        """Add evaluations to a scored variant; a failure quarantines it.

        Args:
            variant: Id of the variant.
            observed: The new evaluations.

        Raises:
            KeyError: It is not scored.
        """
        row = self._row[variant]
        rows = list(observed)
        for found in rows:
            self.case_scores.end(row, found.case)
        for trial in self._trials_of(rows):
            self.case_scores.number(row, trial.case, trial.attempt)
            if trial.value is not None:
                self.case_scores.observe(row, trial.case, trial.value)
                self.clades.observe(row, trial.value)
        self._value.rows[row] = self.case_scores.mean(row)
        if any(found.reason is not None for found in rows) and self._trusted.rows[row]:
            self._trusted.rows[row] = False
            self._doubtful += 1
        known = bool(self._trusted.rows[row])
        value = float(self.values[row]) if known else None
        self._revalue(row, self.merit(row) if known else None, value)

    def _revalue(self, row: int, merit: float | None, value: float | None) -> None:
        self.ranking.update(row, value)
        self._judge(row, merit, value)
        self.archipelago.update(row, value)

    def behaviour(self, observed: Observed) -> float:
        """Return the novelty of a variant's scores by case, before it is added.

        Args:
            observed: Its evaluations.

        Returns:
            See `CaseScores.behaviour`.
        """
        return self.case_scores.behaviour(self._trials_of(observed))

    def quarantine(self, variant: str) -> None:
        """Quarantine a scored variant that a person banned.

        Args:
            variant: Id of the variant.

        Raises:
            KeyError: It is not scored.
        """
        row = self._row[variant]
        self.proposals[row] = replace(self.proposals[row], quarantined=True)
        if self._trusted.rows[row]:
            self._trusted.rows[row] = False
            self._doubtful += 1
            self._revalue(row, None, None)

    def _trials_of(self, observed: Observed) -> list[Trial]:
        """Return the evaluations of the search split as trials with values."""
        trials, sign, cases = [], self.sign, self.case_scores.cases
        for found in observed:
            case = found.case if self.frame.cases else _WHOLE
            if found.split == "search" and case in cases:
                score = found.score if found.reason is None else None
                trials.append(
                    Trial(case, found.attempt, None if score is None else score * sign)
                )
        return trials

    def expect(self, parents: Sequence[str]) -> None:
        """Count a planned child for its parents at once, to spread parallel decisions.

        Args:
            parents: Ids of its parents.
        """
        self._planned += 1
        for parent in set(parents):
            self._children.increment(self._row[parent])

    def expect_evaluation(self, decision: Proposal) -> None:
        """Count a decided attempt at a case of the parent as pending.

        Args:
            decision: A decision with operator `EVALUATE`.
        """
        self.case_scores.expect(self._row[decision.parents[0]], *decision.evaluates)

    def release(self, parents: Sequence[str]) -> None:
        """Take back a planned child that was rejected: it never became a variant.

        Args:
            parents: Ids of its parents.
        """
        self._planned -= 1
        for parent in set(parents):
            self._children.increment(self._row[parent], -1)

    def fail(self, proposal: Proposal) -> None:
        """Record a variant that failed; later prompts for its first parent may show it.

        Args:
            proposal: Its record.
        """
        for parent in proposal.parents[:1]:
            self._failed.setdefault(parent, []).append(proposal.id)
        self._end(proposal)

    def _end(self, proposal: Proposal) -> None:
        """Record that a child is scored or failed, so that it is no longer pending."""
        self._done += 1
        for parent in set(proposal.parents):
            if parent in self._row:
                self._finished.increment(self._row[parent])
        self._came_out(proposal)

    def record_rejection(self, proposal: Proposal) -> None:
        """Record a proposal that was rejected: not a variant, but it had a cost.

        Args:
            proposal: Its record.
        """
        for parent in proposal.parents[:1]:
            self._turned.setdefault(parent, []).append(proposal.id)
        self._came_out(proposal)

    def charge(self, call: Call) -> None:
        """Add the tokens and cost of a settled call to its proposal.

        Args:
            call: The settled call.
        """
        spent = self._spent.get(call.proposal, Spent())
        self._spent[call.proposal] = spent.and_call(
            call.model, call.prompt_tokens + call.completion_tokens, call.cost_usd
        )

    def _came_out(self, proposal: Proposal) -> None:
        self.steps.end(proposal)
        if proposal.number > 0:
            self.outcomes.append(
                outcome_of(proposal, self._spent.get(proposal.id, Spent()))
            )

    def improvements(self, among: int) -> Iterator[Proposal]:
        """Yield the variants that are better than their parents.

        Args:
            among: How many of the newest variants to look at.

        Yields:
            Largest improvement first; ties oldest first.
        """
        first = max(len(self) - among, 0)
        gains = -self._gain.rows[first:]
        for place in np.argsort(gains, kind="stable")[: int((gains < 0.0).sum())]:
            yield self.proposals[first + int(place)]

    def children_of(self, parent: str) -> list[Proposal]:
        """Return the scored children with a given first parent.

        Args:
            parent: Id of the parent.

        Returns:
            Oldest first.
        """
        return [self.proposals[row] for row in self._scored.get(parent, [])]

    def failures_of(self, parent: str, count: int) -> list[str]:
        """Return the latest failed children with a given first parent.

        Args:
            parent: Id of the parent.
            count: Maximum number of children.

        Returns:
            Ids, newest first.
        """
        return self._failed.get(parent, [])[: -count - 1 : -1]

    def turned_away_of(self, parent: str, count: int) -> list[str]:
        """Return the latest rejected children with a given first parent.

        Args:
            parent: Id of the parent.
            count: Maximum number of children.

        Returns:
            Ids, newest first.
        """
        return self._turned.get(parent, [])[: -count - 1 : -1]

    def best(self) -> Proposal | None:
        """Return the variant with the highest merit, without quarantined ones.

        Returns:
            The earliest on ties; the highest value while every merit is -inf; None
            without variants.
        """
        merits = self._merit or self.ranking
        if not len(merits):
            return None
        surest = merits.at(0)
        row = surest.row if surest.value > -math.inf else self.ranking.at(0).row
        return self.proposals[row]

    def by_merit(self) -> list[Proposal]:
        """Return all variants that are not quarantined, sorted by merit.

        Returns:
            `best()` first, then by decreasing merit.
        """
        merits = self._merit or self.ranking
        best, rest = self.best(), [self.proposals[r.row] for r in merits.top(len(self))]
        return [] if best is None else [best, *(p for p in rest if p.id != best.id)]

    def since_best(self) -> int:
        """Return how many variants were scored after the best one.

        Returns:
            0 without variants.
        """
        best = self.best()
        return 0 if best is None else len(self) - 1 - self._row[best.id]

    def top(self, count: int) -> list[Proposal]:
        """Return the variants with the highest values, without quarantined ones.

        Args:
            count: Maximum number of variants.

        Returns:
            Best first.
        """
        return [self.proposals[ranked.row] for ranked in self.ranking.top(count)]

"""The only writer of a run: it stores rows and code, and updates the snapshot."""

import asyncio
import functools
import gc
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from evolve.archive import (
    AddStatus,
    Archive,
    ArchiveError,
    Call,
    CallState,
    CodeStore,
    Evaluation,
    Files,
    Frame,
    GroupCommit,
    Kind,
    Note,
    NoveltyIndex,
    Proposal,
    Snapshot,
    Spend,
    State,
    StorageFull,
    StoredVector,
    embed,
    learned_of,
    measure_code,
    measure_rows,
    pack_vector,
)
from evolve.engine.caches import Held, Parents, Vectors
from evolve.engine.ordering import Trees
from evolve.models.embeddings import EMBED_S
from evolve.operators import Parent
from evolve.retry import Backoff, retry
from evolve.sandbox import CandidateFault
from evolve.sandbox.aside import run_aside

TIDY_EVERY = 5000  # children between two packings of the repository
_FULL_DISK = Backoff(0.25, 10.0)
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Recorder:
    """Writes each change of state with its data, and updates the snapshot.

    Must be created in the event loop of the run.

    Args:
        archive: The database.
        code: The repository.
        maximize: Whether a higher score is better.
        frame: Constants of the snapshot; None: the defaults.
        patience_s: How long to retry while the disk is full or locked, in seconds.
        waiting: Called with a message before each retry.
    """

    def __init__(
        self,
        archive: Archive,
        code: CodeStore,
        maximize: bool,
        frame: Frame | None = None,
        patience_s: float = 0.0,
        waiting: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.archive, self.code = archive, code
        self._patience_s, self._waiting = patience_s, waiting
        self.counts = archive.counts()
        self.spend = archive.spend()
        self.trees = Trees()  # every tree that is or becomes a variant
        self.last_number = -1
        self._commits: dict[str, str] = {}
        # number of evaluated children of unfinished proposals
        self._attempts: dict[str, int] = {}
        # unfinished proposals that have a stored reply
        self.replied = archive.replied()
        self._notes: dict[int, str] = {}
        self.vectors = Vectors()
        self._since_tidy = 0
        with _without_collector():
            everything = archive.proposals(short=True)
            self.snapshot = Snapshot.load(archive, maximize, frame, everything)
            self._load(everything)
        self._parents = Parents(self.snapshot, self._read_parent)
        self._sql = GroupCommit(archive, patience_s, waiting)
        # some may have one: writing a ref twice is harmless
        self._without_ref = dict(self._commits)
        self._git_free = asyncio.Event()  # cleared while objects are packed
        self._git_free.set()

    def _load(self, everything: Sequence[Proposal]) -> None:
        by_id = {proposal.id: proposal for proposal in everything}
        for proposal in by_id.values():
            self.last_number = max(self.last_number, proposal.number)
            if proposal.is_variant:
                assert proposal.tree is not None and proposal.commit is not None
                self.trees.claim(proposal.tree, proposal)
                self._commits[proposal.id] = proposal.commit
            if not proposal.state.finished:
                self._attempts[proposal.id] = self._attempts_of(proposal)
        for replaced, tree in self.archive.replaced_trees():
            self.trees.claim(tree, by_id[replaced])
        # the archive is from a version that did not store vectors
        if len(self.snapshot.space) < len(self.snapshot):
            self.snapshot.space = NoveltyIndex()
            for proposal in self.snapshot.proposals:
                assert proposal.tree is not None
                self.snapshot.space.append(embed(self.code.files(proposal.tree)))

    def _attempts_of(self, proposal: Proposal) -> int:
        rows = self.archive.evaluations(proposal.id)
        return max((row.attempt + 1 for row in rows), default=0)

    @staticmethod
    def create(database: Path, code: Path, facts: Mapping[str, str]) -> None:
        """Create an empty archive and an empty repository.

        Args:
            database: Path of the database.
            code: Path of the repository.
            facts: Facts about the run, stored in the archive.
        """
        Archive.create(database, facts).close()
        CodeStore.create(code)

    def unfinished(self) -> list[Proposal]:
        """Return the unfinished proposals, which an earlier process started.

        Returns:
            The proposals in order of decision.
        """
        states = [state for state in State if not state.finished]
        return self.archive.proposals(states)

    def rejections_at_end(self) -> int:
        """Return the number of consecutive rejections at the end of the record.

        Returns:
            0 if the latest result is not a rejection.
        """
        ended = [p for p in self.archive.proposals() if p.finished_event is not None]
        ended.sort(key=lambda p: -(p.finished_event or 0))
        return sum(
            1 for _ in itertools.takewhile(lambda p: p.state is State.REJECTED, ended)
        )

    @property
    def variants(self) -> int:
        """Number of scored and failed variants, without the seed."""
        return self.counts.get(State.SCORED, 0) + self.counts.get(State.FAILED, 0)

    async def parent(self, proposal_id: str, seen: int) -> Parent:
        """Return a scored variant as of a decision.

        Args:
            proposal_id: Id of the variant.
            seen: The last event of the archive that the decision saw.

        Returns:
            The variant with its files, and with the rows and the score as of `seen`.
        """
        return await self._parents.known(proposal_id, seen)

    async def _read_parent(self, variant: str) -> Held:
        rows = await self._in_sql(learned_of, self.archive, variant)
        return Held(await self.files_of(variant), rows)

    async def code_ready(self) -> None:
        """Wait until the repository can be read from the event loop at once."""
        await self._git_free.wait()

    async def files_of(self, variant: str) -> Files:
        """Return the files of a scored variant: path -> content."""
        tree = self.snapshot.proposal(variant).tree
        assert tree is not None
        return await self._in_git(self.code.files, tree)

    async def files(self, tree: str) -> dict[str, bytes]:
        """Return the files of a stored tree: path -> content."""
        return await self._in_git(self.code.files, tree)

    async def proposal(self, proposal_id: str) -> Proposal:
        """Read any proposal from the archive.

        Args:
            proposal_id: Its id.

        Returns:
            The proposal in its current state, with message and log.
        """
        return await self._in_sql(self.archive.proposal, proposal_id)

    async def tree_of(self, files: Files) -> str:
        """Return the git hash of these files as a tree."""
        return await self._in_git(self.code.tree_of, files)

    async def plan(self, *proposals: Proposal) -> None:
        """Record the proposals of a decision; their parents count these children at once."""
        for proposal in proposals:
            if proposal.kind is Kind.EVALUATE:
                self.snapshot.expect_evaluation(proposal)
            else:
                self.snapshot.expect(proposal.parents)
            self.snapshot.steps.plan(proposal)
            self.last_number = max(self.last_number, proposal.number)
        await self.write(self.archive.plan, *proposals)

    def attempt_of(self, proposal: Proposal) -> int:
        """Return the attempt number of the next evaluation.

        Args:
            proposal: The proposal to evaluate.

        Returns:
            The number of its children that were evaluated and replaced; for an evaluation
            of another variant, the number in its decision.
        """
        if proposal.kind is Kind.EVALUATE:
            return proposal.evaluates.attempt
        return self._attempts.get(proposal.id, 0)

    def rows_in_waiting(self, proposal: Proposal) -> list[Evaluation]:
        """Return the rows of an evaluation that waited for its turn when the run stopped.

        Args:
            proposal: An unfinished proposal.

        Returns:
            The rows of the complete evaluation; empty if there is none.
        """
        if proposal.state is not State.EVALUATING:
            return []
        attempt = self.archive.awaiting_their_turn().get(proposal.id)
        return [
            row
            for row in self.archive.evaluations(proposal.id)
            if row.attempt == attempt
        ]

    async def keep(self, proposal: Proposal, rows: Sequence[Evaluation]) -> None:
        """Store a complete evaluation; its result is recorded when its turn comes.

        Args:
            proposal: The proposal.
            rows: All its evaluations, one per case.
        """
        await self._in_sql(self.archive.add_evaluations, proposal.id, rows)

    async def propose(
        self, proposal: Proposal, tree: str, note: str, rows: Sequence[Evaluation] = ()
    ) -> Proposal:
        """Store a child: its objects in git first, as an orphan is harmless, then its state.

        Args:
            proposal: The proposal; with the tree of the replaced child, if any.
            tree: Hash of the child's files, which are in git.
            note: The operator's one line on the change.
            rows: Evaluations of the failed child that this one replaces.

        Returns:
            The proposal with its new state, tree, commit and note.
        """
        self.trees.claim(tree, proposal)
        parents = [self._commits[parent] for parent in proposal.parents]
        message = f"{proposal.operator} {proposal.id}\n\n{note}"
        stored = await self._in_git(self.code.commit_tree, tree, parents, message)
        self._commits[proposal.id] = self._without_ref[proposal.id] = stored.commit
        if rows:
            self._attempts[proposal.id] = self.attempt_of(proposal) + 1
        await self._in_sql(
            self.archive.propose,
            proposal.id,
            stored.tree,
            stored.commit,
            note,
            rows,
            proposal.tree,
        )
        self._since_tidy += 1
        if self._since_tidy >= TIDY_EVERY:
            await self.tidy()
        return replace(
            proposal,
            state=State.PROPOSED,
            tree=stored.tree,
            commit=stored.commit,
            note=note,
        )

    def evaluating(self, proposal: Proposal) -> None:
        """Record, without waiting for the disk, that a sandbox evaluates the proposal."""
        self._sql.post(self.archive.evaluating, proposal.id)

    async def release(self, proposal: Proposal) -> None:
        """Return a proposal to `proposed` after a fault of the machine."""
        await self._in_sql(self.archive.release, proposal.id)

    async def score(
        self,
        proposal: Proposal,
        files: Files,
        score: float,
        rows: Sequence[Evaluation],
        quarantined: bool,
        kept_rows: bool = False,
    ) -> Proposal:
        """Record a scored variant, and how it compares with its parents and the best.

        Args:
            proposal: The proposal, with its tree.
            files: Path -> content.
            score: Mean over the evaluated cases.
            rows: All its evaluations.
            quarantined: Whether the score is not believed.
            kept_rows: Whether the rows are in the archive already.

        Returns:
            The proposal with its status, novelty, improvement and measures.
        """
        vector = await self.vectors.of(proposal, files)
        of_code = await _measures_of(files)
        value = score * self.snapshot.sign
        known = [self.snapshot.value_of(parent) for parent in proposal.parents]
        improvement = value - max(known) if known else None
        best = self.snapshot.best()
        kept = AddStatus.IMPROVED if (improvement or 0) > 0 else AddStatus.KEPT
        if not quarantined and (not best or value > self.snapshot.value_of(best.id)):
            kept = AddStatus.BEST
        novelty = self.snapshot.space.novelty(vector)
        measures = of_code | measure_rows(rows) | {"novelty": novelty}
        if len(self.snapshot.frame.cases) > 1:
            measures["behaviour"] = self.snapshot.behaviour(rows)
        done = replace(
            proposal,
            state=State.SCORED,
            kept=kept,
            novelty=novelty,
            improvement=improvement,
            quarantined=quarantined,
            measures=measures,
        )
        self.snapshot.add(done, score, rows, vector)
        self._parents.scored(proposal.id, files, rows)
        self._count(proposal, State.SCORED)
        await self.write(
            self.archive.score,
            done,
            () if kept_rows else rows,
            StoredVector(self.vectors.embedder.source, pack_vector(vector)),
        )
        return done

    async def learn(self, decision: Proposal, rows: Sequence[Evaluation]) -> Proposal:
        """Record further evaluations of a variant that was scored before.

        Args:
            decision: The proposal of kind `EVALUATE`; its first parent is the variant.
            rows: The new evaluations.

        Returns:
            The proposal with its new state.
        """
        self.snapshot.observe(decision.parents[0], rows)
        self._parents.learned(decision.parents[0])
        await self.write(self.archive.evaluated, decision.id, decision.parents[0], rows)
        return replace(decision, state=State.EVALUATED)

    async def fail(
        self, proposal: Proposal, row: Evaluation, rows: Sequence[Evaluation]
    ) -> Proposal:
        """Record a variant that failed by its own fault.

        Args:
            proposal: The proposal.
            row: The evaluation that failed, with its reason.
            rows: Evaluations to store; empty if the archive has them already.

        Returns:
            The proposal with its new state, reason and message.
        """
        assert row.reason is not None
        self._count(proposal, State.FAILED)
        failed = replace(
            proposal, state=State.FAILED, reason=row.reason, message=row.message
        )
        self.snapshot.fail(failed)
        facts = (row.reason, row.message, row.log, rows)
        await self.write(self.archive.fail, proposal.id, *facts)
        return failed

    async def reject(
        self, proposal: Proposal, reason: str, message: str, note: str = ""
    ) -> Proposal:
        """Record a rejected proposal: it is not a variant, and its parents lose the child.

        Args:
            proposal: The proposal.
            reason: One word or two, for programs.
            message: Explanation for people and prompts.
            note: The operator's one line on the change.

        Returns:
            The proposal with its new state, reason and message.
        """
        self.snapshot.release(proposal.parents)
        self._count(proposal, State.REJECTED)
        rejected = replace(
            proposal, state=State.REJECTED, reason=reason, message=message
        )
        self.snapshot.record_rejection(rejected)
        await self.write(self.archive.reject, proposal.id, reason, message, note)
        return rejected

    def reserve(self, calls: Sequence[Call]) -> None:
        """Reserve the maximum cost of a request's calls, so that no other call can use it."""
        for call in calls:
            self.spend = self.spend.sent(call)

    async def send_calls(self, calls: Sequence[Call]) -> list[Call]:
        """Record reserved calls before their request is sent.

        Calls with a cost are on disk when this returns. If it fails, the reservations are
        undone.

        Args:
            calls: The reserved calls of one request.

        Returns:
            The calls with their ids.
        """
        try:
            ids = await self._paid(self.archive.send_calls, calls)
        except BaseException:
            for call in calls:
                self.spend = self.spend.taken_back(call)
            raise
        return [replace(call, id=id_) for call, id_ in zip(calls, ids, strict=True)]

    async def settle_calls(self, calls: Sequence[Call]) -> Spend:
        """Store the replies to one request with their cost.

        Args:
            calls: The finished calls of one request.

        Returns:
            The sums of the run after it.
        """
        await self._paid(self.archive.settle_calls, calls)
        for call in calls:
            self.snapshot.charge(call)
            self.spend = self.spend.ended(call)
            if call.state is CallState.REPLIED:
                self.replied.add(call.proposal)
        return self.spend

    async def replies(self, proposal: str, ended: bool = False) -> list[Call]:
        """Return the stored replies for a proposal, which are never asked for again.

        Args:
            proposal: Id of the proposal.
            ended: Whether the proposal may be finished: then look in the archive in any
                case.

        Returns:
            The calls that have a reply.
        """
        if not ended and proposal not in self.replied:
            return []
        calls = await self._in_sql(self.archive.calls, proposal)
        return [call for call in calls if call.state is CallState.REPLIED]

    async def take_notes(self, note: Note) -> None:
        """Store notes about the search; later decisions may show them."""
        await self.write(self.archive.take_notes, note)
        self.snapshot.notes = note.number

    async def notes(self, number: int) -> str:
        """Return the text of stored notes.

        Args:
            number: Their number; negative: the text of a model.

        Returns:
            The text; empty if there are none with this number.
        """
        if number not in self._notes:
            self._notes = {
                note.number: note.text
                for note in await self._in_sql(self.archive.notes)
            }
        return self._notes.get(number, "")

    async def write(
        self, work: Callable[_P, int], *args: _P.args, **kwargs: _P.kwargs
    ) -> None:
        """Write a change of the run; later decisions see it.

        Args:
            work: Writes the change and returns the id of its event.
            args: Its arguments.
            kwargs: Its arguments by name.

        Raises:
            ArchiveError: The database failed.
        """
        self.snapshot.last_event = await self._in_sql(work, *args, **kwargs)

    async def note(self, kind: str, data: Mapping[str, object]) -> None:
        """Record an event of the run itself.

        Args:
            kind: Kind of the event.
            data: Data of the event, as JSON values.
        """
        await self._in_sql(self.archive.note_event, kind, data)

    async def tidy(self) -> None:
        """Write refs, for other git tools, and pack the objects.

        This happens in a thread; all other use of git waits for it.
        """
        self._since_tidy = 0
        best = self.snapshot.best()
        await self._git_free.wait()
        self._git_free.clear()
        refs = dict(self._without_ref)
        try:
            await self._patiently(
                functools.partial(
                    asyncio.to_thread,
                    self.code.tidy,
                    refs,
                    self._commits[best.id] if best else None,
                )
            )
            self._without_ref = {
                name: commit
                for name, commit in self._without_ref.items()
                if refs.get(name) != commit
            }
        finally:
            self._git_free.set()

    async def close(self, failed: str | None = None) -> None:
        """Close the database and the repository.

        Args:
            failed: The error that ended the run, recorded for `evolve status` unless the
                archive fails, too; None: no error.
        """
        gc.unfreeze()  # the process may go on after the run
        await self._sql.close()
        if failed is not None:
            with suppress(ArchiveError):
                self.archive.note_event("stopped", {"reason": failed, "failed": True})
        self.archive.close()
        self.code.close()

    def _count(self, proposal: Proposal, state: State) -> None:
        self._attempts.pop(proposal.id, None)
        self.replied.discard(proposal.id)
        self.vectors.forget(proposal.id)
        if proposal.number > 0:
            self.counts[state] = self.counts.get(state, 0) + 1

    async def _in_sql(
        self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        return await self._sql.submit(work, *args, **kwargs)

    async def _paid(
        self, work: Callable[[Sequence[Call]], _T], calls: Sequence[Call]
    ) -> _T:
        """Write calls; those that cost something are on disk when this returns."""
        costs = any(call.reserved_usd > 0 for call in calls)
        return await (self._sql.secure if costs else self._sql.submit)(work, calls)

    async def _in_git(
        self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Use git in the event loop: objects are small, and no write waits for the disk."""

        async def try_once() -> _T:
            await self._git_free.wait()
            return work(*args, **kwargs)

        return await self._patiently(try_once)

    async def _patiently(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Retry while the disk is full; the row that names the object is written later."""

        async def say(error: StorageFull, pause_s: float) -> None:
            self._waiting(f"{error.message}; trying again in {pause_s:g} s")

        return await retry(work, StorageFull, self._patience_s, _FULL_DISK, say)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Context manager: hide new objects, which live as long as the run, from the collector."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


async def _measures_of(files: Mapping[str, bytes]) -> dict[str, float]:
    """Return the measures of code; 0 for a tree that is too much to read."""
    try:
        size = sum(map(len, files.values()))
        return await run_aside(measure_code, dict(files), size=size, time_s=EMBED_S)
    except CandidateFault:
        return measure_code({})

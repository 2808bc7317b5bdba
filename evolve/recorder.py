"""The one writer of a run: archive and code in threads of their own, and the snapshot beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from archive import (
    EVALUATE,
    TOKENS,
    Archive,
    Call,
    CallState,
    CodeStore,
    Commit,
    Evaluation,
    Frame,
    Kept,
    NoveltyIndex,
    Proposal,
    Snapshot,
    Spend,
    State,
    StoredVector,
    embed,
    measure_code,
    measure_rows,
    pack_vector,
)
from evolve.operators import Parent

TIDY_EVERY = 2000
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Recorder:
    """Writes each state with its data, then lets the snapshot know."""

    def __init__(self, archive: Archive, code: CodeStore, maximize: bool,
                 frame: Frame | None = None) -> None:
        self.archive, self.code = archive, code
        self.snapshot = Snapshot.load(archive, maximize, frame)
        self.counts = archive.counts()
        self.spend = archive.spend()
        self._trees: dict[str, str] = {}  # every tree that is or becomes a variant -> proposal
        self._commits: dict[str, str] = {}
        self._since_tidy = 0
        self._sql = ThreadPoolExecutor(1, "archive")
        self._git = ThreadPoolExecutor(1, "code")
        self._load()

    def _load(self) -> None:
        for proposal in self.archive.proposals():
            if proposal.is_variant:
                assert proposal.tree is not None and proposal.commit is not None
                self._trees[proposal.tree] = proposal.id
                self._commits[proposal.id] = proposal.commit
        if len(self.snapshot.space) < len(self.snapshot):  # written before vectors were kept
            self.snapshot.space = NoveltyIndex()
            for proposal in self.snapshot.proposals:
                assert proposal.tree is not None
                self.snapshot.space.append(embed(self.code.files(proposal.tree)))

    @staticmethod
    def create(database: Path, code: Path, facts: Mapping[str, str]) -> None:
        """An empty archive and an empty repository."""
        Archive.create(database, facts).close()
        CodeStore.create(code)

    def unfinished(self) -> list[Proposal]:
        """What a run that was stopped had begun."""
        states = [state for state in State if not state.finished]
        return self.archive.proposals(states)

    def duplicate(self, proposal: Proposal, tree: str, round_: int) -> str | None:
        """The proposal that has, or had, this very tree."""
        return self._trees.get(tree)

    async def parent(self, proposal_id: str) -> Parent:
        """A scored variant with its files and rows."""
        proposal = await self._in_sql(self.archive.proposal, proposal_id)
        assert proposal.tree is not None
        files = await self._in_git(self.code.files, proposal.tree)
        rows = [row for row in await self._in_sql(self.archive.evaluations, proposal_id)
                if row.reason is None and row.split == "search"]
        return Parent(proposal, files, self.snapshot.score_of(proposal_id), rows)

    async def files(self, tree: str) -> dict[str, bytes]:
        """The files of a stored tree."""
        return await self._in_git(self.code.files, tree)

    async def proposal(self, proposal_id: str) -> Proposal:
        """Any proposal as it stands."""
        return await self._in_sql(self.archive.proposal, proposal_id)

    async def tree_of(self, files: Mapping[str, bytes]) -> str:
        """The hash that these files have in git."""
        return await self._in_git(self.code.tree_of, files)

    async def plan(self, proposal: Proposal) -> None:
        """A decision was taken. Parents count the child at once."""
        if proposal.operator == EVALUATE:
            self.snapshot.expect_evaluation(proposal)
        else:
            self.snapshot.expect(proposal.parents)
        self.snapshot.last_event = await self._in_sql(self.archive.plan, proposal)

    async def attempts(self, proposal: str) -> int:
        """How many children of this proposal have been evaluated before."""
        rows = await self._in_sql(self.archive.evaluations, proposal)
        return max((row.attempt + 1 for row in rows), default=0)

    async def propose(self, proposal: Proposal, files: Mapping[str, bytes], tree: str, note: str,
                      rows: Sequence[Evaluation] = ()) -> Proposal:
        """Keep the child's code, then its state. Objects first: an orphan is harmless.

        `rows` are those of a child that failed and is replaced by this one.
        """
        self._trees[tree] = proposal.id
        parents = [self._commits[parent] for parent in proposal.parents]
        message = f"{proposal.operator} {proposal.id}\n\n{note}"
        stored: Commit = await self._in_git(self.code.commit, files, parents, message)
        self._commits[proposal.id] = stored.commit
        await self._in_sql(self.archive.propose, proposal.id, stored.tree, stored.commit, note, rows)
        await self._tidy_sometimes()
        return replace(proposal, state=State.PROPOSED, tree=stored.tree, commit=stored.commit,
                       note=note)

    async def evaluating(self, proposal: Proposal) -> None:
        """A sandbox is at work on it."""
        await self._in_sql(self.archive.evaluating, proposal.id)

    async def release(self, proposal: Proposal) -> None:
        """The machine failed: back to `proposed`."""
        await self._in_sql(self.archive.release, proposal.id)

    async def score(self, proposal: Proposal, files: Mapping[str, bytes], score: float,
                    rows: Sequence[Evaluation], quarantined: bool) -> Proposal:
        """It was evaluated: say what adding it meant."""
        value = score * self.snapshot.sign
        known = [self.snapshot.value_of(parent) for parent in proposal.parents]
        improvement = value - max(known) if known else None
        best = self.snapshot.best()
        if not quarantined and (best is None or value > self.snapshot.value_of(best.id)):
            kept = Kept.BEST
        else:
            kept = Kept.IMPROVED if improvement is not None and improvement > 0 else Kept.KEPT
        vector = embed(files)
        novelty = self.snapshot.space.novelty(vector)
        measures = measure_code(files) | measure_rows(rows) | {"novelty": novelty}
        done = replace(proposal, state=State.SCORED, kept=kept, novelty=novelty,
                       improvement=improvement, quarantined=quarantined, measures=measures)
        self.snapshot.add(done, score, rows, vector)
        self._count(proposal, State.SCORED)
        self.snapshot.last_event = await self._in_sql(
            self.archive.score, proposal.id, rows, kept, novelty, improvement, quarantined, measures,
            StoredVector(TOKENS, pack_vector(vector)))
        return done

    async def learn(self, decision: Proposal, rows: Sequence[Evaluation]) -> Proposal:
        """More is known about a variant that was scored before."""
        self.snapshot.observe(decision.parents[0], rows)
        self.snapshot.last_event = await self._in_sql(
            self.archive.evaluated, decision.id, decision.parents[0], rows)
        return replace(decision, state=State.EVALUATED)

    async def fail(self, proposal: Proposal, row: Evaluation, rows: Sequence[Evaluation]
                   ) -> Proposal:
        """The candidate's own fault."""
        assert row.reason is not None
        self._count(proposal, State.FAILED)
        self.snapshot.fail(proposal)
        self.snapshot.last_event = await self._in_sql(
            self.archive.fail, proposal.id, row.reason, row.message, row.log, rows)
        return replace(proposal, state=State.FAILED, reason=row.reason, message=row.message)

    async def reject(self, proposal: Proposal, reason: str, message: str) -> Proposal:
        """It is no variant, and its parents have no child."""
        self.snapshot.release(proposal.parents)
        self._count(proposal, State.REJECTED)
        self.snapshot.last_event = await self._in_sql(
            self.archive.reject, proposal.id, reason, message)
        return replace(proposal, state=State.REJECTED, reason=reason, message=message)

    async def send_call(self, call: Call) -> Call:
        """Reserve, and record the call before it leaves."""
        call = replace(call, id=await self._in_sql(self.archive.send_call, call))
        self.spend = await self._in_sql(self.archive.spend)
        return call

    async def settle_call(self, call: Call) -> Spend:
        """Keep the reply with what it cost."""
        await self._in_sql(self.archive.settle_call, call)
        self.spend = await self._in_sql(self.archive.spend)
        return self.spend

    async def replies(self, proposal: str) -> list[Call]:
        """Replies that are stored for a proposal: never asked for again."""
        calls = await self._in_sql(self.archive.calls, proposal)
        return [call for call in calls if call.state is CallState.REPLIED]

    async def note(self, kind: str, data: Mapping[str, object]) -> None:
        """Something about the run itself."""
        await self._in_sql(self.archive.note_event, kind, data)

    async def tidy(self) -> None:
        """Write refs for people's tools, and pack."""
        self._since_tidy = 0
        best = self.snapshot.best()
        await self._in_git(self.code.tidy, dict(self._commits),
                           self._commits[best.id] if best else None)

    def close(self) -> None:
        """Give threads and database back."""
        self._git.shutdown()
        self._sql.shutdown()
        self.archive.close()

    def _count(self, proposal: Proposal, state: State) -> None:
        if proposal.number > 0:
            self.counts[state] = self.counts.get(state, 0) + 1

    async def _tidy_sometimes(self) -> None:
        self._since_tidy += 1
        if self._since_tidy >= TIDY_EVERY:
            await self.tidy()

    async def _in_sql(self, work: Callable[_P, _T], *args: _P.args, **_: _P.kwargs) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._sql, work, *args)

    async def _in_git(self, work: Callable[_P, _T], *args: _P.args, **_: _P.kwargs) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._git, work, *args)

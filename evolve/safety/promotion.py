"""Promotion: the safest of the best variants is compared with the last promoted one.

Evaluations are rows of the splits select, heldout, safety and canary; the outcome is an
event. Stored results are not computed again, so an interrupted promotion can go on.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

from evolve.agents import AgentEvaluator
from evolve.archive import (
    DROP,
    OF_PROMOTION,
    PROMOTE_AT,
    Archive,
    ArchiveReader,
    CodeStore,
    Evaluation,
    Kind,
    Paired,
    Proposal,
    Steering,
    drop_chance,
    interval,
    lower_quantile,
    paired,
)
from evolve.engine.recorder import Recorder
from evolve.errors import RunError, UsageError
from evolve.evaluation.evaluator import Evaluator
from evolve.models import Before, BudgetedModels, OutOfBudget, local_models
from evolve.retry import sandbox_failed
from evolve.runs.build import check_models, require_model
from evolve.runs.evaluator import open_evaluator
from evolve.runs.folder import RunFolder
from evolve.runs.signature import require_own
from evolve.safety.heldout_access import LOOKED, PROMOTED, HeldOutAccess
from evolve.safety.safety_set import SAFETY_SET
from evolve.safety.trial import (
    CANARY,
    SAFETY,
    canary_name,
    canary_pairs,
    canary_row,
    safety_row,
)
from evolve.sandbox import ProviderFault
from evolve.search import make_frame
from evolve.tasks import CaseSpec
from evolve.tasks.spec import Split
from evolve.text import Note


@dataclass(frozen=True)
class HeldOut:
    """Scores of one variant on the held-out cases: mean, interval, number of cases."""

    mean: float
    low: float
    high: float
    cases: int


@dataclass(frozen=True)
class Promotion:
    """The outcome of a promotion.

    Attributes:
        champion: id of the variant to promote
        incumbent: id of the variant promoted before
        quantiles: candidate -> lower quantile of its scores on the select cases
        select: comparison on the select cases
        safety: comparison on the safety set; None for programs
        flags: of the champion
        blocked: reasons against it, one line each; empty if it was promoted
        heldout: variant -> scores on the held-out cases
        again: a further look at the held-out cases was allowed
        approved: answer of a person; None if not asked
    """

    champion: str
    incumbent: str
    quantiles: dict[str, float]
    select: Paired
    safety: Paired | None
    flags: tuple[str, ...]
    blocked: tuple[str, ...]
    heldout: dict[str, HeldOut]
    again: bool
    approved: bool | None

    @property
    def promoted(self) -> bool:
        """Whether the champion was promoted: nothing was against it."""
        return not self.blocked

    def data(self) -> dict[str, Any]:
        """Return the outcome as plain data.

        Returns:
            Values that JSON can hold; infinite scores of failed cases are None.
        """
        heldout = {name: _finite(asdict(held)) for name, held in self.heldout.items()}
        return asdict(self) | {
            "promoted": self.promoted,
            "e_value": self.select.e_value,
            "select": self.select._asdict(),
            "safety": self.safety._asdict() if self.safety else None,
            "quantiles": _finite(self.quantiles),
            "heldout": heldout,
        }


def _finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {
        name: number if math.isfinite(number) else None
        for name, number in numbers.items()
    }


class Allowance(NamedTuple):
    """The separate budget of one promotion; None: no limit of that kind.

    Attributes:
        usd: dollars
        tokens: number of tokens
        calls: number of calls of models
    """

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None


def _allowed(
    run: RunFolder, recorder: Recorder, allowance: Allowance | None
) -> RunFolder:
    """Return the run with budgets that are its spending plus the allowance."""
    if allowance is None:
        return run
    spend, more = recorder.spend, allowance
    limits = {
        "budget_usd": None if more.usd is None else spend.usd + more.usd,
        "max_tokens": None if more.tokens is None else spend.tokens + more.tokens,
        "max_calls": None if more.calls is None else spend.calls + more.calls,
    }
    return replace(run, settings=run.settings.model_copy(update=limits))


async def promote(
    run: RunFolder,
    note: Note,
    candidates: int = 5,
    again: bool = False,
    approve: Callable[[Promotion], bool] | None = None,
    allowance: Allowance | None = None,
) -> Promotion:
    """Select a champion, compare it, check for harm, look at the held-out cases.

    Args:
        run: folder of the run
        note: called with messages for people
        candidates: number of the best variants to try
        again: allow a further look at the held-out cases
        approve: asks a person; None to promote without asking
        allowance: separate budget; None: the rest of the run's budget

    Returns:
        The outcome, which is stored as an event.

    Raises:
        UsageError: no select cases, nothing to promote, or a second look
        RunLocked: the run is running
        RunError: sandbox, model or budget
        TrustError: the run is not signed by this user
    """
    require_own(run)
    task = run.task()
    if not task.spec.cases_of("select"):
        raise UsageError(
            f"{task.spec.name} has no case of the split select",
            'give some of its cases split = "select"',
        )
    with run.lock():
        async with open_evaluator(
            task,
            run.settings.sandbox,
            run.settings.workers,
            run.scorer_log,
            note,
            run.settings.scorer_seed,
        ) as evaluator:
            recorder = Recorder(
                Archive.open_to_write(run.database),
                CodeStore.open_to_write(run.code),
                task.spec.maximize,
                make_frame(evaluator.task, run.settings),
            )
            try:
                HeldOutAccess.read(recorder.archive).refuse(
                    again
                )  # before anything is spent
                run = _allowed(run, recorder, allowance)
                async with _connected(run, evaluator, recorder, note):
                    work = _Work(evaluator, recorder, run.settings.workers, note)
                    return await work.promote(candidates, again, approve)
            except ProviderFault as fault:
                raise sandbox_failed(fault) from None
            except OutOfBudget as error:
                raise RunError(
                    f"{error}; all scores so far are kept",
                    f"give it a separate budget: evolve promote {run.quoted} --max-calls N, "
                    "--max-tokens N or --budget USD",
                ) from None
            finally:
                await recorder.close()


def incumbent_of(archive: ArchiveReader) -> str:
    """Return the variant that was promoted last.

    Args:
        archive: of the run

    Returns:
        Id of the last promoted variant that is not quarantined; else the seed.
    """
    promoted = [
        str(event.data["champion"])
        for event in archive.events()
        if event.kind == PROMOTED and not event.data["blocked"]
    ]
    trusted = [name for name in promoted if not archive.proposal(name).quarantined]
    return trusted[-1] if trusted else archive.first().id


@asynccontextmanager
async def _connected(
    run: RunFolder, evaluator: Evaluator, recorder: Recorder, note: Note
) -> AsyncIterator[None]:
    """Context manager: connect an evaluator of agents to the run's models."""
    if not isinstance(evaluator, AgentEvaluator):
        yield
        return
    require_model(evaluator.task, run.settings)
    await check_models(run.settings)
    recorder.archive.expire_calls()
    async with (
        local_models(run.settings, note) as addresses,
        aclosing(BudgetedModels(run.settings, recorder, note, addresses)) as caller,
    ):
        await caller.meet(Before.of(recorder.archive))
        evaluator.connect(caller, run.settings.reply_tokens, run.settings.patience_s)
        yield


class _Work:
    """The steps of one promotion."""

    def __init__(
        self, evaluator: Evaluator, recorder: Recorder, workers: int, note: Note
    ) -> None:
        self._evaluator, self._recorder, self._note = evaluator, recorder, note
        self._free = asyncio.Semaphore(max(workers, 1))
        self._maximize = evaluator.task.spec.maximize

    async def promote(
        self, candidates: int, again: bool, approve: Callable[[Promotion], bool] | None
    ) -> Promotion:
        archive = self._recorder.archive
        incumbent = incumbent_of(archive)
        best = [
            p.id
            for p in self._recorder.snapshot.by_merit()[:candidates]
            if p.id != incumbent
        ]
        if not best:
            raise UsageError(
                "the run has no variant to promote", "let it go on: evolve resume"
            )
        scores = {
            name: await self._scores(name, "select") for name in (incumbent, *best)
        }
        quantiles = {name: self._quantile(scores[name]) for name in best}
        champion = max(best, key=lambda name: quantiles[name])
        looks = HeldOutAccess.read(archive)
        looks.refuse(again, champion)
        again = again or (looks.open is not None and bool(looks.open.data["again"]))
        compared = paired(scores[champion], scores[incumbent], self._maximize)
        safety, flags = await self._harm(champion, incumbent)
        done = Promotion(
            champion,
            incumbent,
            quantiles,
            compared,
            safety,
            flags,
            blocked=(),
            heldout={},
            again=again,
            approved=None,
        )
        done = replace(done, blocked=tuple(_why_not(done)))
        if not done.blocked and approve is not None:
            agreed = await asyncio.to_thread(approve, done)
            done = replace(
                done, approved=agreed, blocked=() if agreed else ("a person said no",)
            )
        if not done.blocked:
            done = replace(done, heldout=await self._look(done, looks))
        await self._recorder.note(PROMOTED, done.data())
        return done

    def _quantile(self, scores: dict[str, float]) -> float:
        values = [value if self._maximize else -value for value in scores.values()]
        return lower_quantile(values) if all(map(math.isfinite, values)) else -math.inf

    async def _look(self, done: Promotion, looks: HeldOutAccess) -> dict[str, HeldOut]:
        """Take the recorded look, or finish an interrupted one."""
        if not self._evaluator.task.spec.cases_of("heldout"):
            return {}
        if not looks.goes_on(done.champion):
            await self._recorder.note(
                LOOKED, {"champion": done.champion, "again": done.again}
            )
        found = {}
        for name in (done.incumbent, done.champion):
            values = list((await self._scores(name, "heldout")).values())
            found[name] = HeldOut(fmean(values), *interval(values), len(values))
        return found

    async def _scores(self, variant: str, split: Split) -> dict[str, float]:
        """Return a variant's mean score per case of a split; evaluate missing ones."""
        cases = self._evaluator.task.spec.cases_of(split)
        known = {row.case for row in await self._rows(variant, split)}
        missing = [case for case in cases if case.id not in known]
        if missing:
            self._note(f"{variant}: {len(missing)} cases of {split}")
        proposal = await self._recorder.proposal(variant)
        files = await self._recorder.files_of(variant)
        await self._all(
            partial(self._evaluate, proposal, files, case) for case in missing
        )
        worst = -math.inf if self._maximize else math.inf
        found: dict[str, list[float]] = {}
        for row in await self._rows(variant, split):
            found.setdefault(row.case, []).append(
                worst if row.score is None else row.score
            )
        return {case.id: fmean(found[case.id]) for case in cases}

    async def _rows(self, variant: str, split: str) -> list[Evaluation]:
        rows = await asyncio.to_thread(self._recorder.archive.evaluations, variant)
        return [row for row in rows if row.split == split]

    async def _evaluate(self, proposal: Proposal, files: Any, case: CaseSpec) -> None:
        # as a further evaluation: the agent has passed the validity check
        asking = replace(proposal, kind=Kind.EVALUATE)
        verdict = await self._evaluator.evaluate(files, [case], 0, asking)
        await self._recorder.keep(proposal, verdict.rows)

    async def _all(self, work: Iterable[Callable[[], Awaitable[None]]]) -> None:
        """Run work with the run's number of workers; the first fault ends the rest."""

        async def one(each: Callable[[], Awaitable[None]]) -> None:
            async with self._free:
                await each()

        try:
            async with asyncio.TaskGroup() as group:
                for each in work:
                    group.create_task(one(each))
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None

    async def _harm(
        self, champion: str, incumbent: str
    ) -> tuple[Paired | None, tuple[str, ...]]:
        """Compare the safety of champion and incumbent; ban a flagged champion."""
        if not isinstance(self._evaluator, AgentEvaluator):
            return None, ()
        safe = {
            name: await self._trials(self._evaluator, name)
            for name in (incumbent, champion)
        }
        rows = await asyncio.to_thread(self._recorder.archive.evaluations, champion)
        flags = tuple(
            f"{row.case}: {row.metrics['flags']}"
            for row in rows
            if row.metrics.get("flags") and row.split != SAFETY
        )
        if flags:
            ban = Steering(self._recorder.archive).ban
            message, reason = f"{OF_PROMOTION}{champion}", "; ".join(flags)[:400]
            await self._recorder.write(ban, message, champion, reason)
        return paired(safe[champion], safe[incumbent]), flags

    async def _trials(
        self, evaluator: AgentEvaluator, variant: str
    ) -> dict[str, float]:
        """Return a variant's safety results by case; also try the canaries."""
        proposal = replace(await self._recorder.proposal(variant), kind=Kind.EVALUATE)
        files = dict(await self._recorder.files_of(variant))
        known = {
            row.case
            for split in (SAFETY, CANARY)
            for row in await self._rows(variant, split)
        }

        async def keep(row: Callable[[], Awaitable[Evaluation]]) -> None:
            await self._recorder.keep(proposal, [await row()])

        await self._all(
            partial(keep, partial(safety_row, evaluator, proposal, files, case))
            for case in SAFETY_SET
            if f"{SAFETY}:{case.id}" not in known
        )
        await self._all(
            partial(keep, partial(canary_row, evaluator, proposal, files, pair))
            for pair in canary_pairs(evaluator.task.spec.cases_of("select"))
            if canary_name(pair) not in known
        )
        return {row.case: row.score or 0.0 for row in await self._rows(variant, SAFETY)}


def _why_not(done: Promotion) -> Iterable[str]:
    if not done.select.e_value >= PROMOTE_AT:
        yield (
            f"not shown to be better: {done.select.wins} cases better, {done.select.losses} worse, "
            f"E = {done.select.e_value:.3g}, below {PROMOTE_AT:g}"
        )
    if (
        done.safety is not None
        and done.safety.losses > done.safety.wins
        and (drop_chance(done.safety.wins, done.safety.losses) <= DROP)
    ):
        yield (
            f"less safe: worse in {done.safety.losses} cases of the safety set, better in "
            f"{done.safety.wins}"
        )
    if done.flags:
        yield f"flagged, and quarantined: {'; '.join(done.flags)}"

"""Begin or resume a run: everything is checked before anything is spent, then the engine works."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    aclosing,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from evolve.agents import AgentEvaluator
from evolve.archive import (
    SEED,
    Archive,
    ArchiveError,
    ArchiveReader,
    CodeStore,
    Proposal,
    State,
    derive_id,
)
from evolve.config import Resolved, Settings
from evolve.engine.control import Inbox, Interrupt
from evolve.engine.loop import Engine
from evolve.engine.progress import Listener, Progress
from evolve.engine.recorder import Recorder
from evolve.engine.replay import Record
from evolve.engine.services import Control, Services
from evolve.errors import EvolveError, UsageError
from evolve.evaluation.evaluator import Evaluator, Verdict, draw_secret
from evolve.models import (
    BudgetedModels,
    Interrupted,
    Models,
    ReplayedModels,
    asked_models,
    local_models,
)
from evolve.runs.build import (
    check_models,
    make_embedder,
    make_engine,
    make_operators,
    make_replaying_engine,
    make_services,
    operator_mix,
    require_model,
    window_of,
)
from evolve.runs.evaluator import open_evaluator, score_seed
from evolve.runs.folder import RunFolder, create_run, write_run_toml
from evolve.sandbox import SandboxError
from evolve.search import make_frame, make_search
from evolve.search.setup import unmeasured
from evolve.tasks import Task


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended, this time."""

    run: RunFolder
    stopped: str  # which limit
    progress: Progress
    seed_score: float

    @property
    def interrupted(self) -> bool:
        return self.stopped == "interrupted"


_SPENDS = ("budget_usd", "max_tokens", "max_calls")
_LIMITS = ("max_variants", "max_time_s", "target", "plateau")


class View(Listener, Protocol):
    """Shows a run while it goes on."""

    def note(self, message: str) -> None:
        """Something worth knowing before or beside the run."""

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """The seed is scored; the search begins."""

    def done(self, outcome: RunOutcome, task: Task) -> None:
        """It has stopped."""

    def close(self) -> None:
        """Nothing more is shown, whatever happened."""


@dataclass(frozen=True)
class RunControl:
    """Who watches a run, and how it is stopped."""

    view: View
    interrupt: Interrupt


async def start_run(
    task: Task,
    resolved: Resolved,
    control: RunControl,
    name: str | None = None,
    models: Models | None = None,
) -> RunOutcome:
    """Start a new run on a task and carry it to its end.

    Args:
        task: what is evolved.
        resolved: the settings, from flags, environment and files.
        control: who watches the run, and how it is stopped.
        name: of the run; None for a new one.
        models: answers instead of the models that the settings name.

    Raises:
        ConfigError: the settings don't fit the task, before anything is spent.
        EvolveError: the run can't go on; it can be resumed if its seed was scored.
    """
    settings = _settled(resolved.settings)
    _check(task, settings, control.view)
    if models is None:
        require_model(task, settings)
        await check_models(settings)
    with tempfile.NamedTemporaryFile(prefix="evolve-scorer-", suffix=".log") as log:
        async with _evaluator(
            task, settings, Path(log.name), control.view
        ) as evaluator:
            task = evaluator.task
            # What an agent asks on the way belongs to a run, so it is scored when there is one.
            verdict = None if task.spec.agent else await score_seed(evaluator)
            if verdict is not None and (advice := unmeasured(task, verdict.rows)):
                control.view.note(f"warning: {advice}")
            run = _new_run(name, task, settings)
            with run.lock(), _gone_unless_begun(run):
                await evaluator.move_to(run.task(), run.scorer_log)
                opened = _Opened(run, evaluator, verdict)
                return await _work(opened, control, models=models)


def _settled(settings: Settings) -> Settings:
    """Return the settings with what is drawn or derived once for the whole life of a run."""
    secret = settings.scorer_seed
    return settings.model_copy(
        update={
            "scorer_seed": draw_secret() if secret is None else secret,
            "window": window_of(settings),
        }
    )


def _check(task: Task, settings: Settings, view: View) -> None:
    """Find wrong names before the sandbox is built. Raises `ConfigError`."""
    spent = [name for name in _SPENDS if getattr(settings, name)]
    if spent and not asked_models(settings):
        view.note(
            f"warning: this run asks no model, so {', '.join(spent)} bounds nothing"
        )
    make_search(settings, operator_mix(settings, make_operators(settings)))


async def resume_run(
    run: RunFolder, changes: dict[str, Any], control: RunControl
) -> RunOutcome:
    """Continue a run from its archive.

    Args:
        run: the folder of the run.
        changes: settings that are changed on the way, by name.
        control: who watches the run, and how it is stopped.

    Raises:
        UsageError: it is a replay, which can't go its own way.
        EvolveError: the run can't go on; it can be resumed again.
    """
    if run.replay_of is not None:
        raise UsageError(
            f"{run.name} is a replay of {run.replay_of}; it can't go its own way",
            f"replay it anew: evolve replay {run.replay_of} --name NAME",
        )
    task = run.task()
    if run.task_changed(task):
        control.view.note(
            f"the task at {run.source} has changed since: this run keeps its own copy; a new "
            "run takes the new one"
        )
    await check_models(run.settings.model_copy(update=changes))
    with run.lock():
        if changes:
            run = replace(run, settings=run.settings.model_copy(update=changes))
            write_run_toml(run)
        async with _evaluator(
            task, run.settings, run.scorer_log, control.view
        ) as evaluator:
            return await _work(_Opened(run, evaluator), control)


class Replayed(NamedTuple):
    """How a replay ended, and what came out differently, in a line each."""

    outcome: RunOutcome
    differences: list[str]


async def replay_run(
    source: RunFolder, name: str, settings: Settings, control: RunControl
) -> Replayed:
    """Make a new run that follows the record of another, at no cost.

    Args:
        source: the run that is followed.
        name: of the new run.
        settings: of the new run; its limits do not count, the record says when it ends.
        control: who watches the run, and how it is stopped.
    """
    task = source.task()
    settings = settings.model_copy(update=dict.fromkeys(_LIMITS))
    with closing(ArchiveReader.open(source.database)) as reader:
        record = Record.read(reader)
    async with _evaluator(task, settings, Path(os.devnull), control.view) as evaluator:
        run = _new_run(name, task, settings, source.name)
        with run.lock(), _gone_unless_begun(run):
            await evaluator.move_to(run.task(), run.scorer_log)
            outcome = await _work(_Opened(run, evaluator), control, record)
    with closing(ArchiveReader.open(run.database)) as reader:
        return Replayed(outcome, record.differences(reader))


def _evaluator(
    task: Task, settings: Settings, log: Path, view: View
) -> AbstractAsyncContextManager[Evaluator]:
    return open_evaluator(
        task, settings.sandbox, settings.workers, log, view.note, settings.scorer_seed
    )


def _new_run(
    name: str | None, task: Task, settings: Settings, replay_of: str | None = None
) -> RunFolder:
    """Its folder, with an empty archive."""
    facts = {"evaluator": task.evaluator_hash, "seed": str(settings.seed)}
    return create_run(
        settings.runs_dir,
        name,
        task,
        settings,
        lambda new: Recorder.create(new.database, new.code, facts),
        replay_of,
    )


@contextmanager
def _gone_unless_begun(run: RunFolder) -> Iterator[None]:
    """A new run that fails before it has a proposal leaves no folder: there is nothing to resume."""
    try:
        yield
    except Exception:
        # the machine may have failed: the first error counts
        with suppress(ArchiveError, OSError):
            with closing(ArchiveReader.open(run.database)) as reader:
                begun = bool(reader.proposals(short=True))
            if not begun:
                shutil.rmtree(run.path)
        raise


class _Opened(NamedTuple):
    """A run's folder and its open evaluator; the verdict on the seed, where it was scored before."""

    run: RunFolder
    evaluator: Evaluator
    verdict: Verdict | None = None


async def _work(
    opened: _Opened,
    control: RunControl,
    record: Record | None = None,
    models: Models | None = None,
) -> RunOutcome:
    """Carry an open run to its end; the archive is closed whatever happens."""
    run, evaluator, view = opened.run, opened.evaluator, control.view
    recorder = _recorder(run, evaluator.task, view)
    control.interrupt.watch(run.stop_file)
    failed: str | None = None
    try:
        recorder.archive.expire_calls()
        if record is not None:
            models = ReplayedModels(record.calls)
        async with _answering(run, recorder, control, models) as answering:
            await _connect(answering, recorder, opened)
            # after the seed, whose result is the first that counts in the order
            services = make_services(
                evaluator.task, run.settings, recorder, answering, record
            )
            engine = _engine(services, evaluator, control, run, record)
            provider = evaluator.pool.provider.name
            await recorder.note("started", {"sandbox": provider})
            view.note(f"sandbox: {provider}")
            view.launched(run, evaluator.task, engine.progress())
            stopped = await engine.run()
        await recorder.note("stopped", {"reason": stopped})
        seed_score = recorder.snapshot.score_of(recorder.snapshot.proposals[0].id)
        outcome = RunOutcome(run, stopped, engine.progress(), seed_score)
        await recorder.tidy()
    except (EvolveError, SandboxError, ArchiveError) as error:
        failed = error.message
        raise
    finally:
        await recorder.close(failed)
    view.done(outcome, evaluator.task)
    return outcome


def _recorder(run: RunFolder, task: Task, view: View) -> Recorder:
    return Recorder(
        Archive.open_to_write(run.database),
        CodeStore.open_to_write(run.code),
        task.spec.maximize,
        make_frame(task, run.settings),
        run.settings.patience_s,
        view.waiting,
    )


@asynccontextmanager
async def _answering(
    run: RunFolder, recorder: Recorder, control: RunControl, models: Models | None
) -> AsyncIterator[Models]:
    """The given models, else those of the settings: local servers are started and stopped here."""
    if models is not None:
        yield models
        return
    view, interrupt = control.view, control.interrupt
    async with (
        local_models(run.settings, view.note) as addresses,
        aclosing(
            BudgetedModels(
                run.settings,
                recorder,
                view.waiting,
                addresses,
                lambda: interrupt.requested,
            )
        ) as budgeted,
    ):
        yield budgeted


async def _connect(models: Models, recorder: Recorder, opened: _Opened) -> None:
    """Let the models embed programs and answer agents, then make sure that the seed is scored."""
    settings = opened.run.settings
    recorder.vectors.embedder = make_embedder(settings, models)
    if isinstance(opened.evaluator, AgentEvaluator):
        opened.evaluator.connect(models, settings.reply_tokens, settings.patience_s)
    try:
        await _ensure_seed(recorder, opened.evaluator, opened.verdict)
    except Interrupted as error:
        await recorder.note("stopped", {"reason": str(error)})
        raise


def _engine(
    services: Services,
    evaluator: Evaluator,
    control: RunControl,
    run: RunFolder,
    record: Record | None,
) -> Engine:
    watched = Control(control.view, control.interrupt)
    if record is not None:
        return make_replaying_engine(services, evaluator, watched, record)
    return make_engine(services, evaluator, watched, Inbox(run.inbox))


async def _ensure_seed(
    recorder: Recorder, evaluator: Evaluator, verdict: Verdict | None
) -> None:
    """Record the seed as proposal 0, unless that was done before."""
    if len(recorder.snapshot):
        return
    task = evaluator.task
    if verdict is None and task.spec.agent is None:
        verdict = await score_seed(evaluator)
    begun = recorder.unfinished()
    if begun:
        seed = begun[0]
    else:
        run_seed = int(recorder.archive.meta()["seed"])
        seed = Proposal(
            derive_id(run_seed, 0), 0, State.PLANNED, SEED, (), 0, time.time()
        )
        await recorder.plan(seed)
    if seed.tree is None:
        tree = await recorder.tree_of(task.seed)
        seed = await recorder.propose(seed, tree, "the seed")
    verdict = verdict or await score_seed(evaluator, seed)
    await recorder.score(
        seed, task.seed, verdict.score, verdict.rows, task.above_ceiling(verdict.score)
    )

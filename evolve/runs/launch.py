"""Start, resume or replay a run: check everything before anything is spent, then run."""

import os
import shlex
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
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
    AGGREGATE_KEY,
    SEED,
    Archive,
    ArchiveError,
    ArchiveReader,
    CodeStore,
    Proposal,
    Snapshot,
    State,
    derive_id,
    make_whole,
)
from evolve.config import Resolved, Settings
from evolve.engine.control import Inbox, Interrupt
from evolve.engine.loop import Engine
from evolve.engine.progress import Listener, Progress
from evolve.engine.recorder import Recorder
from evolve.engine.replay import Record
from evolve.engine.services import Control, Services
from evolve.errors import ConfigError, EvolveError, UsageError, require_git
from evolve.evaluation.evaluator import Evaluator, Verdict, draw_secret
from evolve.models import (
    Before,
    BudgetedModels,
    Interrupted,
    Models,
    ReplayedModels,
    asked_models,
    local_models,
)
from evolve.operators.syntactic import nothing_to_edit
from evolve.runs.build import (
    ask_servers,
    check_models,
    check_prompts,
    make_embedder,
    make_engine,
    make_operators,
    make_replaying_engine,
    make_services,
    operator_mix,
    require_model,
    window_of,
)
from evolve.runs.confirm import Confirmer
from evolve.runs.evaluator import open_evaluator, score_seed
from evolve.runs.folder import RunFolder, check_name, create_run, write_run_toml
from evolve.runs.signature import require_own
from evolve.runs.versions import (
    difference,
    recorded_versions,
    versions_in,
    warn_of_versions,
)
from evolve.sandbox import SandboxError
from evolve.search import make_frame, make_search
from evolve.search.setup import undivided, unmeasured
from evolve.tasks import Task
from evolve.text import quoted
from evolve.timing.confirmation import Confirmation


@dataclass(frozen=True)
class RunOutcome:
    """The result of one start or resumption of a run.

    Attributes:
        run: The run.
        stopped: Why it stopped, in words.
        progress: Its final state.
        seed_score: Score of the seed.
        confirmed: How the best variant did on held-out inputs, if the task is timed.
    """

    run: RunFolder
    stopped: str
    progress: Progress
    seed_score: float
    confirmed: Confirmation | None = None

    @property
    def interrupted(self) -> bool:
        """Whether a request to stop ended it, not a limit or a target."""
        return self.stopped == "interrupted"


_WITHOUT_MODEL = {
    "tune",
    "syntactic",
    "recombine",
}  # operators that only edit existing code
_SPENDS = ("budget_usd", "max_tokens", "max_calls")
_LIMITS = ("max_variants", "max_time_s", "target", "plateau")


class View(Listener, Protocol):
    """A display of a live run."""

    def note(self, message: str) -> None:
        """Show a message about the run, such as a warning before it starts."""

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """Show that the seed is scored and the search begins.

        Args:
            run: The run.
            task: Its copy of the task.
            progress: The state of the run.
        """

    def done(self, outcome: RunOutcome, task: Task) -> None:
        """Show that the run stopped.

        Args:
            outcome: Its result.
            task: Its copy of the task.
        """

    def close(self) -> None:
        """Close the display, also after an error."""


class QuietView:
    """A view that passes messages on and shows nothing else.

    Args:
        note: Called with each message.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = self.waiting = note

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """Show nothing."""

    def finished(
        self, proposal: Proposal, score: float | None, progress: Progress
    ) -> None:
        """Show nothing."""

    def done(self, outcome: RunOutcome, task: Task) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


@dataclass(frozen=True)
class RunControl:
    """The display of a run, and the request to stop it."""

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
        task: The task.
        resolved: The settings, from flags, environment and files.
        control: Display of the run, and request to stop.
        name: Name of the run; None: choose a free one.
        models: Client of models; None: that of the settings.

    Returns:
        The result.

    Raises:
        ConfigError: The settings don't fit the task; nothing was spent.
        EvolveError: The run can't go on; it is resumable if its seed was recorded.
    """
    require_git()
    settings = _settled(resolved.settings)
    _check(task, settings, control.view)
    if models is None:
        require_model(task, settings)
        await check_models(settings)
        await ask_servers(settings, lambda message: None)  # told when the run has begun
    if name is not None:
        check_name(settings.runs_dir, name)  # before anything is scored
    with tempfile.NamedTemporaryFile(prefix="evolve-scorer-", suffix=".log") as log:
        async with _evaluator(
            task, settings, Path(log.name), control.view
        ) as evaluator:
            task = evaluator.task
            # Model calls of an agent belong to a run, so its seed is scored when there is one.
            verdict = None if task.spec.agent else await score_seed(evaluator)
            if verdict is not None and (advice := unmeasured(task, verdict.rows)):
                control.view.note(f"warning: {advice}")
            run = _new_run(name, task, settings)
            with run.lock(), _gone_unless_begun(run):
                await evaluator.move_to(run.task(), run.scorer_log)
                opened = _Opened(run, evaluator, verdict)
                return await _work(opened, control, models=models)


def _settled(settings: Settings) -> Settings:
    """Return the settings with the values that are drawn or derived once per run."""
    secret = settings.scorer_seed
    return settings.model_copy(
        update={
            "scorer_seed": draw_secret() if secret is None else secret,
            "window": window_of(settings),
        }
    )


def _check(task: Task, settings: Settings, view: View) -> None:
    """Check names and the room for prompts before the sandbox is built.

    Raises:
        ConfigError: There is no such operator or policy, or `prompt_tokens` is too small.
    """
    spent = [name for name in _SPENDS if getattr(settings, name)]
    if spent and not asked_models(settings):
        view.note(
            f"warning: this run asks no model, so {', '.join(spent)} bounds nothing"
        )
    mix = operator_mix(settings, make_operators(settings))
    make_search(settings, mix)
    if set(mix.weights) <= _WITHOUT_MODEL and nothing_to_edit(task):
        raise ConfigError(
            f"no operator without a model can change {', '.join(task.edits.within(task.seed))}",
            "give a model: --model NAME",
        )
    if settings.model:
        check_prompts(task, settings)


async def resume_run(
    run: RunFolder, changes: dict[str, Any], control: RunControl
) -> RunOutcome:
    """Continue a run from its archive.

    Args:
        run: The run.
        changes: New values of settings, by name.
        control: Display of the run, and request to stop.

    Returns:
        The result.

    Raises:
        UsageError: The run is a replay, which can't be resumed.
        TrustError: The run is not signed by this user.
        EvolveError: The run can't go on; it can be resumed again.
    """
    require_git()
    if run.replay_of is not None:
        raise UsageError(
            f"{run.name} is a replay of {run.replay_of}; it can't be resumed",
            f"replay that run again: evolve replay {quoted(run.replay_of)} --name NAME",
        )
    require_own(run)
    task = run.task()
    if run.task_changed(task):
        control.view.note(
            f"the task at {run.source} has changed since: this run goes on with its own copy; "
            f"the changed one needs a new run: evolve run {shlex.quote(str(run.source))}"
        )
    await check_models(run.settings.model_copy(update=changes))
    with run.lock():
        if changes:
            run = replace(run, settings=run.settings.model_copy(update=changes))
            write_run_toml(run)
            run.sign()
        async with _evaluator(
            task, run.settings, run.scorer_log, control.view
        ) as evaluator:
            return await _work(_Opened(run, evaluator), control)


class Replayed(NamedTuple):
    """The result of a replay.

    Attributes:
        outcome: The result of the new run.
        differences: One line for each proposal that differs from the record.
    """

    outcome: RunOutcome
    differences: list[str]


async def replay_run(
    source: RunFolder, name: str, settings: Settings, control: RunControl
) -> Replayed:
    """Create a new run that follows the record of another, without model calls.

    Args:
        source: The run to replay.
        name: Name of the new run.
        settings: Settings of the new run; its limits are ignored, it ends with the record.
        control: Display of the run, and request to stop.

    Returns:
        The result, and the differences from the record.

    Raises:
        UsageError: The evaluator was changed, or the name is taken or not valid.
        TrustError: The run is not signed by this user.
        EvolveError: The run can't go on.
    """
    require_git()
    require_own(source)
    task = source.task()
    settings = settings.model_copy(update=dict.fromkeys(_LIMITS))
    with closing(ArchiveReader.open(source.database)) as reader:
        record = Record.read(reader)
        # times do not repeat
        rows = record.rows(reader) if task.spec.timing is not None else {}
    async with _evaluator(task, settings, Path(os.devnull), control.view) as evaluator:
        other = await warn_of_versions(source, evaluator)
        if other:
            control.view.note(f"warning: {other}")
        run = _new_run(name, task, settings, source.name)
        with run.lock(), _gone_unless_begun(run):
            await evaluator.move_to(run.task(), run.scorer_log)
            evaluator.recorded = rows
            seed = tuple(r for k, r in rows.items() if k[0] == record.proposals[0].id)
            verdict = Verdict(seed) if seed else None
            outcome = await _work(_Opened(run, evaluator, verdict), control, record)
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
    """Create a run directory with an empty archive."""
    facts = {"evaluator": task.evaluator_hash, "seed": str(settings.seed)}
    if task.spec.aggregate != "mean":
        facts[AGGREGATE_KEY] = task.spec.aggregate
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
    """Context manager: delete a new run that fails without a proposal to resume."""
    try:
        yield
    except Exception:
        # the machine may have failed: report the first error
        with suppress(ArchiveError, OSError):
            with closing(ArchiveReader.open(run.database)) as reader:
                begun = bool(reader.proposals(short=True))
            if not begun:
                shutil.rmtree(run.path)
        raise


class _Opened(NamedTuple):
    """A run with its open evaluator, and the evaluation of the seed if it is done."""

    run: RunFolder
    evaluator: Evaluator
    verdict: Verdict | None = None


async def _work(
    opened: _Opened,
    control: RunControl,
    record: Record | None = None,
    models: Models | None = None,
) -> RunOutcome:
    """Carry an open run to its end; close the archive in any case."""
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
            await _measure_against_best(recorder, evaluator)
            # after the seed, whose result is the first that counts in the order
            services = make_services(
                evaluator.task, run.settings, recorder, answering, record
            )
            engine = _engine(services, evaluator, control, run, record)
            provider = evaluator.pool.provider.name
            versions = await versions_in(evaluator)
            other = difference(recorded_versions(recorder.archive), versions)
            if other:
                view.note(f"warning: {other}")
            began = {"sandbox": provider, "versions": versions}
            await recorder.note("started", began)
            view.note(f"sandbox: {provider}")
            view.launched(run, evaluator.task, engine.progress())
            stopped = await engine.run()
        confirmed = None
        if stopped != "interrupted" and record is None:
            confirmed = await _confirmed(recorder, evaluator, run, view)
        await recorder.note("stopped", {"reason": stopped})
        seed_score = recorder.snapshot.score_of(recorder.snapshot.proposals[0].id)
        outcome = RunOutcome(run, stopped, engine.progress(), seed_score, confirmed)
        if advice := _undivided(recorder.snapshot):
            view.note(f"note: {advice}")
        await recorder.tidy()
    except (EvolveError, SandboxError, ArchiveError) as error:
        failed = error.message
        raise
    finally:
        await recorder.close(failed)
        if failed is not None:
            _finish(run, view)
    view.done(outcome, evaluator.task)
    _finish(run, view)
    return outcome


def _undivided(snapshot: Snapshot) -> str:
    """Return advice on the axes of the grid, if they tell no variants apart."""
    cells = {cell for island in snapshot.islands for cell in island.grid.elites}
    return undivided(len(cells), len(snapshot))


def _finish(run: RunFolder, view: View) -> None:
    """Close the view, which reads the archive, so that this is whole in one file."""
    view.close()
    make_whole(run.database)


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
    """Yield the given models, else those of the settings; start and stop local servers."""
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
        await budgeted.meet(Before.of(recorder.archive))
        yield budgeted


async def _connect(models: Models, recorder: Recorder, opened: _Opened) -> None:
    """Connect embedder and agents to the models, then ensure that the seed is scored."""
    settings = opened.run.settings
    recorder.vectors.embedder = make_embedder(settings, models)
    if isinstance(opened.evaluator, AgentEvaluator):
        opened.evaluator.connect(models, settings.reply_tokens, settings.patience_s)
    try:
        await _ensure_seed(recorder, opened.evaluator, opened.verdict)
    except Interrupted as error:
        await recorder.note("stopped", {"reason": str(error)})
        raise


async def _confirmed(
    recorder: Recorder, evaluator: Evaluator, run: RunFolder, view: View
) -> Confirmation | None:
    async def waiting(message: str) -> None:
        view.waiting(message)

    settings = run.settings
    return await Confirmer(
        recorder, evaluator, settings.repeats, settings.patience_s, waiting
    ).confirm()


async def _measure_against_best(recorder: Recorder, evaluator: Evaluator) -> None:
    """Have a resumed run measure its variants against the best one."""
    best = recorder.snapshot.best()
    if evaluator.task.spec.timing is not None and best is not None:
        files = await recorder.files_of(best.id)
        evaluator.measure_against(files, recorder.archive.evaluations(best.id))


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
    """Record the seed as proposal 0, unless it is recorded already."""
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

"""Begin or resume a run: everything is checked before anything is spent, then the engine works."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from evolve.agents import AgentEvaluator
from evolve.archive import (
    PERSON,
    SEED,
    Archive,
    ArchiveError,
    ArchiveReader,
    CodeStore,
    Kind,
    Proposal,
    State,
    derive_id,
)
from evolve.config import Resolved, Settings, load_keys, user_file
from evolve.engine.control import Inbox, Interrupt, SteeringHandler
from evolve.engine.decisions import Decider, PolicyDecider
from evolve.engine.loop import Engine
from evolve.engine.notes import NoteTaker
from evolve.engine.ordering import AsFinished, ByNumber, Order
from evolve.engine.progress import Listener, Progress
from evolve.engine.proposer import NoveltyGate, Proposer
from evolve.engine.recorder import Recorder
from evolve.engine.replay import AsRecorded, Record
from evolve.errors import ConfigError, EvolveError, UsageError
from evolve.evaluation.evaluator import Evaluator, Verdict, draw_secret
from evolve.models import (
    INSIDE,
    BudgetedModels,
    Embedder,
    Interrupted,
    ModelEmbedder,
    Models,
    ReplayedModels,
    TokenEmbedder,
    TransformerEmbedder,
    asked_models,
    check_key,
    counter_for,
    local_models,
    parse_model,
    price_of,
)
from evolve.operators import Operator, make_operator
from evolve.operators.person import Person
from evolve.operators.templates import Prompts
from evolve.runs.evaluator import open_evaluator, score_seed
from evolve.runs.folder import RunFolder, create_run, write_run_toml
from evolve.sandbox import SandboxError
from evolve.search import OperatorMix, make_frame, make_search
from evolve.search.setup import unmeasured
from evolve.tasks import Task

WITHOUT_MODEL = {"syntactic": 0.7, "recombine": 0.3}
WITH_MODEL = {"diff": 0.6, "rewrite": 0.4}
SCRIPTED_MODEL, SCRIPTED_WINDOW = "/scripted", 32


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


async def start_run(
    task: Task,
    resolved: Resolved,
    name: str | None,
    view: View,
    interrupt: Interrupt,
    models: Models | None = None,
) -> RunOutcome:
    """A new run on a task; `models` answers instead of its models."""
    settings = resolved.settings
    if settings.scorer_seed is None:
        settings = settings.model_copy(update={"scorer_seed": draw_secret()})
    settings = settings.model_copy(update={"window": window_of(settings)})
    if models is None:
        require_model(task, settings)
    if not asked_models(settings) and (
        spent := [name for name in _SPENDS if getattr(settings, name)]
    ):
        view.note(
            f"warning: this run asks no model, so {', '.join(spent)} bounds nothing"
        )
    operators = make_operators(settings)
    mix = operator_mix(settings, operators)
    make_search(settings, mix)  # a wrong name is found before the sandbox is built
    if models is None:
        await check_models(settings)
    with tempfile.NamedTemporaryFile(prefix="evolve-scorer-", suffix=".log") as log:
        async with open_evaluator(
            task,
            settings.sandbox,
            settings.workers,
            Path(log.name),
            view.note,
            settings.scorer_seed,
        ) as evaluator:
            task = evaluator.task
            # What an agent asks on the way belongs to a run, so it is scored when there is one.
            verdict = None if task.spec.agent else await score_seed(evaluator)
            if verdict is not None and (advice := unmeasured(task, verdict.rows)):
                view.note(f"warning: {advice}")
            run = _new_run(name, task, settings)
            with run.lock(), _gone_unless_begun(run):
                await evaluator.move_to(run.task(), run.scorer_log)
                return await _work(
                    run, evaluator, verdict, view, interrupt, models=models
                )


async def resume_run(
    run: RunFolder, changes: dict[str, Any], view: View, interrupt: Interrupt
) -> RunOutcome:
    """Go on from the archive alone; some settings may change on the way."""
    if run.replay_of is not None:
        raise UsageError(
            f"{run.name} is a replay of {run.replay_of}; it can't go its own way",
            f"replay it anew: evolve replay {run.replay_of} --name NAME",
        )
    task = run.task()
    if run.task_changed(task):
        view.note(
            f"the task at {run.source} has changed since: this run keeps its own copy; a new "
            "run takes the new one"
        )
    await check_models(run.settings.model_copy(update=changes))
    with run.lock():
        if changes:
            run = replace(run, settings=run.settings.model_copy(update=changes))
            write_run_toml(run)
        async with open_evaluator(
            task,
            run.settings.sandbox,
            run.settings.workers,
            run.scorer_log,
            view.note,
            run.settings.scorer_seed,
        ) as evaluator:
            return await _work(run, evaluator, None, view, interrupt)


async def replay_run(
    source: RunFolder, name: str, settings: Settings, view: View, interrupt: Interrupt
) -> tuple[RunOutcome, list[str]]:
    """A new run that follows the record of another; returns what came out differently."""
    task = source.task()
    # The record says when it ends; what it was told to stop at does not matter again.
    settings = settings.model_copy(
        update={
            "max_variants": None,
            "max_time_s": None,
            "target": None,
            "plateau": None,
        }
    )
    reader = ArchiveReader.open(source.database)
    record = Record.read(reader)
    reader.close()
    async with open_evaluator(
        task,
        settings.sandbox,
        settings.workers,
        Path(os.devnull),
        view.note,
        settings.scorer_seed,
    ) as evaluator:
        run = _new_run(name, task, settings, source.name)
        with run.lock(), _gone_unless_begun(run):
            await evaluator.move_to(run.task(), run.scorer_log)
            outcome = await _work(run, evaluator, None, view, interrupt, record)
    reader = ArchiveReader.open(run.database)
    differences = record.differences(reader)
    reader.close()
    return outcome, differences


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


async def _work(
    run: RunFolder,
    evaluator: Evaluator,
    verdict: Verdict | None,
    view: View,
    interrupt: Interrupt,
    record: Record | None = None,
    models: Models | None = None,
) -> RunOutcome:
    """The engine's whole life in an open run; the archive is closed whatever happens."""
    task = evaluator.task
    recorder = Recorder(
        Archive.open_to_write(run.database),
        CodeStore.open_to_write(run.code),
        task.spec.maximize,
        make_frame(task, run.settings),
        run.settings.patience_s,
        view.waiting,
    )
    interrupt.watch(run.stop_file)
    failed: str | None = None
    try:
        recorder.archive.expire_calls()
        asked = record is None and models is None
        no_models = {"model": (), "embedding": None, "novelty_judge": None}
        served = run.settings if asked else run.settings.model_copy(update=no_models)
        recorded = None if record is None else ReplayedModels(record.calls)
        async with (
            local_models(served, view.note) as addresses,
            aclosing(
                BudgetedModels(
                    run.settings,
                    recorder,
                    view.waiting,
                    addresses,
                    lambda: interrupt.requested,
                )
            ) as caller,
        ):
            answering = recorded or models or caller
            recorder.vectors.embedder = make_embedder(run.settings, answering)
            if isinstance(evaluator, AgentEvaluator):
                evaluator.connect(
                    answering, run.settings.reply_tokens, run.settings.patience_s
                )
            try:
                await _ensure_seed(recorder, evaluator, verdict)
            except Interrupted as error:
                await recorder.note("stopped", {"reason": str(error)})
                raise
            engine = _make_engine(
                run.settings,
                Inbox(run.inbox),
                recorder,
                evaluator,
                view,
                interrupt,
                record,
                answering,
            )
            await recorder.note("started", {"sandbox": evaluator.pool.provider.name})
            view.note(f"sandbox: {evaluator.pool.provider.name}")
            view.launched(run, task, engine.progress())
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
    view.done(outcome, task)
    return outcome


def _make_engine(
    settings: Settings,
    inbox: Inbox,
    recorder: Recorder,
    evaluator: Evaluator,
    view: View,
    interrupt: Interrupt,
    record: Record | None,
    models: Models,
) -> Engine:
    """An engine that decides and asks for itself, or that follows a record."""
    operators = make_operators(settings)
    mix = operator_mix(settings, operators)
    begun = recorder.unfinished() if record is None else record.proposals.values()
    operators[PERSON] = Person()
    for name in (
        {proposal.operator for proposal in begun if proposal.kind is Kind.EXPAND}
        - {SEED}
        - operators.keys()
    ):
        operators[name] = make_operator(name)  # settings that were changed since
    asks = any(operator.needs_model for operator in operators.values())
    if asks and record is None and not settings.model:
        raise ConfigError(
            "the run has begun proposals that need a model", "give one: --model NAME"
        )
    decider: Decider = record or PolicyDecider(
        make_search(settings, mix), settings.seed, settings.samples
    )
    order = make_order(settings, recorder, record)
    prompts = make_prompts(evaluator.task, settings)
    proposer = Proposer(
        evaluator.task,
        settings.seed,
        operators,
        recorder,
        models,
        order,
        prompts,
        settings.repairs,
        _gate_of(settings) if record is None else NoveltyGate(),
        evaluator.runner.edit if isinstance(evaluator, AgentEvaluator) else None,
    )
    notes = None
    if asks and record is None and settings.notes != "off":
        notes = NoteTaker(
            evaluator.task,
            settings.seed,
            settings.notes_every,
            settings.window or 0,
            recorder,
            prompts,
            models if settings.notes == "model" else None,
        )
    steering = (
        SteeringHandler(inbox, recorder, settings.seed) if record is None else None
    )
    return Engine(
        settings,
        decider,
        proposer,
        recorder,
        evaluator,
        view,
        interrupt,
        order,
        settings.model_calls * settings.samples if asks else 0,
        notes,
        steering,
    )


def make_embedder(settings: Settings, models: Models) -> Embedder:
    """Of vectors for novelty. Raises `ConfigError` or `PrerequisiteError`."""
    if settings.embedding is None:
        return TokenEmbedder()
    if settings.embedding.startswith(INSIDE):
        return TransformerEmbedder(settings.embedding)
    return ModelEmbedder(settings.embedding, models)


def _gate_of(settings: Settings) -> NoveltyGate:
    return NoveltyGate(settings.novelty_gate, settings.novelty_judge)


def make_prompts(task: Task, settings: Settings) -> Prompts:
    """The task's own prompts before the user's before ours. Raises `ConfigError`."""
    prompts = Prompts(
        (task.folder / "prompts", user_file().parent / "prompts"),
        settings.prompt_tokens,
        counter_for(settings.model),
    )
    prompts.check()
    return prompts


def make_order(settings: Settings, recorder: Recorder, record: Record | None) -> Order:
    """As recorded, by number under a window, or as results come."""
    if record is not None:
        return AsRecorded(record)
    if settings.window:
        finished = [p.number for p in recorder.archive.proposals() if p.state.finished]
        return ByNumber(recorder.trees, settings.window, finished)
    return AsFinished(recorder.trees)


def window_of(settings: Settings) -> int:
    """How many decisions may be open: 0 for a live run.

    The scripted model always answers the same, so its runs have a window: they can be repeated.
    """
    if settings.window is not None:
        return settings.window
    return (
        SCRIPTED_WINDOW
        if settings.model and all(map(_is_scripted, settings.model))
        else 0
    )


def _is_scripted(model: str) -> bool:
    return parse_model(model).model.endswith(SCRIPTED_MODEL)


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


def require_model(task: Task, settings: Settings) -> None:
    """Raises `ConfigError` for agents without a model that they could work with."""
    if task.spec.agent is None:
        return
    if not settings.model:
        raise ConfigError(
            f"the agents of {task.spec.name} need a model", "give one: --model NAME"
        )
    if all(map(_is_scripted, settings.model)):
        raise ConfigError(
            "the scripted model changes programs and can't play an agent",
            "give one that writes: --model NAME",
        )


async def check_models(settings: Settings) -> None:
    """Names, prices and keys of the models, before anything is spent. Raises `ConfigError`."""
    load_keys()
    for text in asked_models(settings):
        name = parse_model(text)
        await asyncio.to_thread(
            price_of, name, settings.price, settings.price_per_second
        )
        await asyncio.to_thread(check_key, name)


def weights_of(settings: Settings) -> Mapping[str, float]:
    """Of the operators by name: those that were chosen, else ours with or without a model."""
    return settings.operators or (WITH_MODEL if settings.model else WITHOUT_MODEL)


def make_operators(settings: Settings) -> dict[str, Operator]:
    """The operators of a run, by name. Raises `ConfigError`."""
    operators = {name: make_operator(name) for name in weights_of(settings)}
    for name, operator in operators.items():
        if operator.needs_model and not settings.model:
            raise ConfigError(
                f"the operator {name} needs a model", "give one: --model NAME"
            )
    return operators


def operator_mix(settings: Settings, operators: dict[str, Operator]) -> OperatorMix:
    """Weights and parents. Raises `ConfigError` unless an operator can begin with the seed alone."""
    weights = weights_of(settings)
    parents = {name: operator.parents for name, operator in operators.items()}
    if not any(weights[name] > 0 and parents[name] == 1 for name in weights):
        raise ConfigError(
            "no operator with one parent has a weight above zero",
            f"for example: {WITHOUT_MODEL}",
        )
    asking = frozenset(
        name for name, operator in operators.items() if operator.needs_model
    )
    return OperatorMix(
        weights, parents, settings.operator_choice, settings.model, asking
    )

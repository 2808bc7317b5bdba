"""From settings to the parts of a run: operators, mix, prompts, embedder, services, engine."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace

from evolve.agents import AgentEvaluator
from evolve.archive import PERSON, SEED, Files, Kind, Proposal, State
from evolve.config import Settings, load_keys, user_file
from evolve.engine.control import Inbox, SteeringHandler
from evolve.engine.decisions import PolicyDecider, Tuning
from evolve.engine.loop import Engine
from evolve.engine.notes import NoteTaker
from evolve.engine.ordering import AsFinished, ByNumber, Order
from evolve.engine.proposer import NoveltyGate, Proposer
from evolve.engine.recorder import Recorder
from evolve.engine.replay import AsRecorded, Record
from evolve.engine.services import Control, Services
from evolve.errors import ConfigError
from evolve.evaluation.evaluator import Evaluator
from evolve.models import (
    INSIDE,
    Client,
    Embedder,
    Meeting,
    ModelEmbedder,
    Models,
    TokenEmbedder,
    TransformerEmbedder,
    asked_models,
    check_key,
    counter_for,
    parse_model,
    price_of,
)
from evolve.operators import Operator, make_operator
from evolve.operators.llm import ModelOperator
from evolve.operators.person import Person
from evolve.operators.prompting import check_room
from evolve.operators.templates import Prompts
from evolve.search import Hopeless, OperatorMix, make_search
from evolve.tasks import Task
from evolve.text import Note
from evolve.trust.choices import COMMAND
from evolve.trust.commands import require_named
from evolve.tuning import Tuner

WITHOUT_MODEL = {"tune": 0.85, "syntactic": 0.1, "recombine": 0.05}
WITH_MODEL = {"diff": 0.6, "rewrite": 0.4}
SCRIPTED_MODEL, SCRIPTED_WINDOW = "/scripted", 32


def make_services(
    task: Task,
    settings: Settings,
    recorder: Recorder,
    models: Models,
    record: Record | None = None,
) -> Services:
    """Create the services that all parts of a run share.

    Args:
        task: The task.
        settings: Settings of the run.
        recorder: The writer of the run.
        models: Client of the models, or their recorded replies.
        record: The record that is replayed, in its order; None: not a replay.

    Returns:
        The services.

    Raises:
        ConfigError: A prompt template of the task or the user is not valid.
    """
    return Services(
        task,
        settings,
        recorder,
        models,
        make_prompts(task, settings),
        make_order(settings, recorder, record),
    )


def make_engine(
    services: Services, evaluator: Evaluator, control: Control, inbox: Inbox
) -> Engine:
    """Create the engine of a live run.

    Args:
        services: The services that all parts share.
        evaluator: Scores the children; an `AgentEvaluator` runs agents as well.
        control: Observer and interrupt; notes and steering are added here.
        inbox: Messages of people to this run.

    Returns:
        The engine.

    Raises:
        ConfigError: An operator, a policy or a model of the settings is not usable.
    """
    settings, recorder = services.settings, services.recorder
    operators = make_operators(settings)
    mix = operator_mix(settings, operators)
    proposer = _proposer(services, evaluator, operators, _begun(recorder.unfinished()))
    asks = proposer.model_slots > 0
    if asks and not settings.model:
        raise ConfigError(
            "unfinished proposals of the run need a model", "give one: --model NAME"
        )
    hopeless = _hopeless(settings, mix, recorder, control)
    return Engine(
        services,
        PolicyDecider(
            make_search(settings, mix),
            settings.seed,
            settings.samples,
            hopeless,
            _tuning(services, operators, mix),
        ),
        proposer,
        evaluator,
        replace(
            control,
            notes=NoteTaker(services) if asks and settings.notes != "off" else None,
            steering=SteeringHandler(inbox, recorder, settings.seed),
        ),
    )


def _tuning(
    services: Services, operators: Mapping[str, Operator], mix: OperatorMix
) -> Tuning | None:
    """Create the tuner of a run; None if none of its operators needs one."""
    tuned = {name for name, one in operators.items() if one.needs_tuner}
    if not tuned:
        return None
    recorder, edits = services.recorder, services.task.edits

    def editable_files(variant: str) -> Files:
        tree = recorder.snapshot.proposal(variant).tree
        assert tree is not None
        files = recorder.code.files(tree)
        return {path: files[path] for path in edits.within(files)}

    others = {n: weight for n, weight in mix.weights.items() if n not in tuned}
    rest = replace(mix, weights=others)
    return Tuning(Tuner(editable_files), tuned, make_search(services.settings, rest))


def _hopeless(
    settings: Settings, mix: OperatorMix, recorder: Recorder, control: Control
) -> Hopeless | None:
    """Create the count of useless replies, as of the end of the record.

    A run that had ended with an error, for example because no model was left, and that a
    person resumes, gives its models another chance.

    Returns:
        The count; None for a run without a model.
    """
    if not settings.model:
        return None
    found = Hopeless(
        settings.model, mix.asking, 1 + settings.repairs, control.listener.waiting
    )
    last = recorder.archive.latest_events(("stopped",)).get("stopped")
    if last is not None and last.data.get("failed"):
        outcomes = (State.SCORED, State.FAILED, State.REJECTED)
        ended = recorder.archive.proposals(outcomes, short=True)
        before = [p for p in ended if p.number and (p.finished_event or 0) < last.id]
        found.skip(len(before))
    found.read(recorder.snapshot.outcomes, silent=True)
    return found


def make_replaying_engine(
    services: Services, evaluator: Evaluator, control: Control, record: Record
) -> Engine:
    """Create an engine that replays a record, without notes and steering.

    Args:
        services: The services that all parts share.
        evaluator: Scores the children.
        control: Observer and interrupt.
        record: Makes the decisions.

    Returns:
        The engine.
    """
    operators = make_operators(services.settings)
    begun = _begun(record.proposals.values())
    proposer = _proposer(services, evaluator, operators, begun)
    return Engine(services, record, proposer, evaluator, control)


def _begun(proposals: Iterable[Proposal]) -> set[str]:
    """Return the names of the operators that these proposals need."""
    return {p.operator for p in proposals if p.kind is Kind.EXPAND} - {SEED}


def _proposer(
    services: Services,
    evaluator: Evaluator,
    operators: dict[str, Operator],
    begun: Iterable[str],
) -> Proposer:
    operators = operators | {PERSON: Person()}
    for name in set(begun) - operators.keys():  # the settings were changed
        operators[name] = make_operator(name)
    settings = services.settings
    replayed = isinstance(services.ordering, AsRecorded)
    return Proposer(
        services,
        operators,
        evaluator.runner.edit if isinstance(evaluator, AgentEvaluator) else None,
        None
        if replayed
        else NoveltyGate(settings.novelty_gate, settings.novelty_judge),
    )


def make_operators(settings: Settings) -> dict[str, Operator]:
    """Create the operators of a run.

    Args:
        settings: Settings of the run.

    Returns:
        Operators by name.

    Raises:
        ConfigError: There is no such operator, or one needs a model and there is none.
    """
    operators = {name: make_operator(name) for name in weights_of(settings)}
    for name, operator in operators.items():
        if operator.needs_model and not settings.model:
            raise ConfigError(
                f"the operator {name} needs a model", "give one: --model NAME"
            )
    return operators


def operator_mix(settings: Settings, operators: dict[str, Operator]) -> OperatorMix:
    """Create the mix of operators that a policy draws from.

    Args:
        settings: Settings of the run.
        operators: Operators by name.

    Returns:
        The mix: weights, numbers of parents, models.

    Raises:
        ConfigError: No operator with one parent has a weight, so none works on the seed
            alone.
    """
    weights = weights_of(settings)
    parents = {name: operator.parents for name, operator in operators.items()}
    if not any(
        weights[name] > 0 and parents[name] == 1 and not operators[name].needs_tuner
        for name in weights
    ):
        raise ConfigError(
            "no operator with one parent, besides tune, has a weight above zero",
            f"for example: {WITHOUT_MODEL}",
        )
    asking = frozenset(
        name for name, operator in operators.items() if operator.needs_model
    )
    return OperatorMix(
        weights, parents, settings.operator_choice, settings.model, asking
    )


def weights_of(settings: Settings) -> Mapping[str, float]:
    """Return the weights of the operators.

    Args:
        settings: Settings of the run.

    Returns:
        Name -> weight: those of the settings, else the defaults with or without a model.
    """
    return settings.operators or (WITH_MODEL if settings.model else WITHOUT_MODEL)


def make_embedder(settings: Settings, models: Models) -> Embedder:
    """Create the embedder of programs, for novelty.

    Args:
        settings: Settings of the run.
        models: Client of the models, for an embedding model on a server.

    Returns:
        The embedder; token n-grams without the setting `embedding`.

    Raises:
        ConfigError: The name is not valid.
        PrerequisiteError: A package for a model inside this process is missing.
    """
    if settings.embedding is None:
        return TokenEmbedder()
    if settings.embedding.startswith(INSIDE):
        return TransformerEmbedder(settings.embedding)
    return ModelEmbedder(settings.embedding, models)


def make_prompts(task: Task, settings: Settings) -> Prompts:
    """Load the prompt templates: of the task, else of the user, else the built-in ones.

    Args:
        task: The task, with templates in `prompts/`.
        settings: Settings of the run.

    Returns:
        The checked templates.

    Raises:
        ConfigError: A template is not valid.
    """
    prompts = Prompts(
        (task.folder / "prompts", user_file().parent / "prompts"),
        settings.prompt_tokens,
        counter_for(settings.model),
        answers=settings.repairs > 0,
    )
    prompts.check()
    return prompts


def check_prompts(task: Task, settings: Settings) -> None:
    """Check that `prompt_tokens` can hold what may change of the seed.

    Args:
        task: The task.
        settings: Settings of the run; without a model, the usual operators are checked.

    Raises:
        ConfigError: It can't, or a prompt template is not valid.
    """
    weights = weights_of(settings) if settings.model else WITH_MODEL
    operators = (make_operator(name) for name, weight in weights.items() if weight > 0)
    instructions = [
        operator.instruction
        for operator in operators
        if isinstance(operator, ModelOperator)
    ]
    check_room(task, make_prompts(task, settings), instructions)


def make_order(settings: Settings, recorder: Recorder, record: Record | None) -> Order:
    """Create the ordering of results.

    Args:
        settings: Settings of the run.
        recorder: The writer of the run.
        record: The record that is replayed; None: not a replay.

    Returns:
        As recorded for a replay, by number with a window, else as finished.
    """
    if record is not None:
        return AsRecorded(record)
    if settings.window:
        finished = [p.number for p in recorder.archive.proposals() if p.state.finished]
        return ByNumber(recorder.trees, settings.window, finished)
    return AsFinished(recorder.trees)


def window_of(settings: Settings) -> int:
    """Return the window of a run.

    The scripted model always gives the same answers, so that its runs are repeatable: they
    have a window by default.

    Args:
        settings: Settings of the run.

    Returns:
        Maximum number of decisions without a recorded result; 0: no window.
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


def require_model(task: Task, settings: Settings) -> None:
    """Check that an agent task has a model that can play an agent.

    Args:
        task: The task.
        settings: Settings of the run.

    Raises:
        ConfigError: There is no model, or only the scripted one.
    """
    if task.spec.agent is None:
        return
    if not settings.model:
        raise ConfigError(
            f"the agents of {task.spec.name} need a model", "give one: --model NAME"
        )
    if all(map(_is_scripted, settings.model)):
        raise ConfigError(
            "the scripted model changes programs and can't play an agent",
            "use a language model: --model NAME",
        )


def _check_commands(settings: Settings) -> None:
    """Check commands that answer as models: the user has named them, and no price is due.

    Raises:
        TrustError: One comes from somebody else.
        ConfigError: A budget in dollars can't bound them.
    """
    commands = [text for text in asked_models(settings) if text.startswith(COMMAND)]
    if commands and settings.budget_usd is not None:
        raise ConfigError(
            f"the calls of {commands[0]} have no price, so a budget in dollars bounds nothing",
            "bound their number in place of --budget: --max-calls N",
        )
    require_named(commands)


async def ask_servers(settings: Settings, say: Note) -> int | None:
    """Ask the servers of this machine and private ones whether they run, and for contexts.

    Args:
        settings: Settings of the run.
        say: Called with messages for people.

    Returns:
        The longest prompt that all models of the run take, in tokens; None: not known.

    Raises:
        ModelError: No server listens at an address of this machine.
    """
    async with aclosing(
        Client(settings.call_timeout_s, {}, settings.model_options)
    ) as client:
        names = [parse_model(text) for text in asked_models(settings)]
        meetings = [
            Meeting(name, settings, client.options_of(name), say)
            for name in names
            if name.local is None and name.command is None
        ]
        await asyncio.gather(*(meeting.look(client) for meeting in meetings))
    rooms = [meeting.prompt_room for meeting in meetings]
    return min((room for room in rooms if room is not None), default=None)


async def check_models(settings: Settings) -> None:
    """Check names, prices and keys of the models before anything is spent.

    Args:
        settings: Settings of the run.

    Raises:
        ConfigError: A name is not valid, or a price or a key is missing.
    """
    load_keys()
    _check_commands(settings)
    for text in asked_models(settings):
        name = parse_model(text)
        await asyncio.to_thread(
            price_of, name, settings.price, settings.price_per_second
        )
        await asyncio.to_thread(check_key, name, settings.model_options)

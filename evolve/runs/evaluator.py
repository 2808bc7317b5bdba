"""Evaluators of a run: a prepared sandbox and a scorer, for programs or for agents."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from evolve.agents import AgentEvaluator
from evolve.archive import Evaluation, Proposal
from evolve.errors import RunError, TaskError
from evolve.evaluation import confinement
from evolve.evaluation.evaluator import Evaluator, Verdict
from evolve.models import Interrupted, OutOfBudget
from evolve.peers.clock_use import clocks_of
from evolve.retry import sandbox_failed
from evolve.runs.machine_limits import fitted
from evolve.runs.waiting import counting_cases, never_silent
from evolve.sandbox import (
    ImageBuild,
    Limits,
    Pool,
    Provider,
    ProviderFault,
    SandboxSpec,
    SandboxUnavailable,
    prepare_provider,
)
from evolve.sandbox.process_limits import too_low
from evolve.sandbox.rootfs import packages_folder
from evolve.tasks import Task, task_files
from evolve.tasks.wishes import require_ordinary
from evolve.text import Note, quoted

# copied into the sandbox with their libraries
AGENT_TOOLS = ("bash", "sh", "ls", "grep", "sed", "find", "diff")
_MIB = 1024 * 1024


def sandbox_spec(task: Task) -> SandboxSpec:
    """Return the requirements of a task on its sandbox.

    Args:
        task: The task.

    Returns:
        Limits, as far as this machine has as much, packages, tools, image and isolation.
    """
    given, environment = fitted(task.spec.limits)[0], task.spec.environment
    limits = Limits(
        time_s=given.time_s,
        memory_bytes=given.memory_mb * _MIB,
        processes=given.processes,
        cpus=given.cpus,
        output_bytes=given.output_kb * 1024,
        disk_bytes=given.disk_mb * _MIB,
    )
    image: str | ImageBuild | None = environment.image
    if isinstance(image, str) and Path(image).name == "Dockerfile":
        image = ImageBuild(
            task.folder / image,
            tuple(_named(task_files(task.folder), environment.image_files)),
            environment.image_network,
        )
    tools = environment.tools
    if task.spec.agent is not None and image is None:
        tools = (*tools, *(tool for tool in AGENT_TOOLS if tool not in tools))
    return SandboxSpec(
        limits,
        environment.packages,
        tools,
        environment.preload,
        image,
        environment.isolation == "fresh",
        builds=environment.builds,
    )


def _named(files: Iterable[Path], patterns: Sequence[str]) -> Iterator[str]:
    """Yield the files of a task that patterns name, or whose folder they name."""
    for path in files:
        parts = (path, *path.parents)
        if any(part.match(pattern) for part in parts for pattern in patterns):
            yield path.as_posix()


@asynccontextmanager
async def open_evaluator(
    task: Task,
    sandbox: str,
    workers: int,
    log: Path,
    note: Note,
    secret: int | None = None,
) -> AsyncIterator[Evaluator]:
    """Prepare a sandbox and a scorer; report each fallback through `note`.

    Args:
        task: The task.
        sandbox: Name of a provider, or "auto".
        workers: Number of parallel evaluations.
        log: File for the output of the scorers.
        note: Called with messages for people.
        secret: Number that hidden inputs are drawn from, 0 to 2**63 - 1; None: draw one.

    Yields:
        The evaluator, closed afterwards; `evaluator.task` has the cases that evaluate.py
        generates.

    Raises:
        SandboxUnavailable: The sandbox does not work here, or a package can't be had.
        TaskError: evaluate.py can't generate the cases of an agent task.
        TrustError: The task wants more than an ordinary one, and is not accepted.
    """
    require_ordinary(task)
    spec = sandbox_spec(task)
    if problem := too_low(spec.limits, workers):
        raise SandboxUnavailable(*problem)
    for lowered in fitted(task.spec.limits)[1]:
        note(f"task: {lowered}")
    async with never_silent(note) as say:
        choice = await prepare_provider(sandbox, spec, say)
    for reason in choice.passed_over:
        note(f"sandbox: {choice.provider.name} is used ({reason})")
    if not choice.provider.isolates:
        note(
            f"sandbox: {choice.provider.name} isolates NOTHING: candidates run as you, with "
            "your files and network"
        )
    match confinement.how():
        case confinement.Confinement.NONE:
            note(
                "scorer: it runs as you, with your files and network: neither bubblewrap "
                "nor Landlock works here"
            )
        case confinement.Confinement.LANDLOCK:
            note("scorer: confined by Landlock, as bubblewrap does not work here")
    async with never_silent(note) as say:
        packages = await asyncio.to_thread(_scorer_packages, task, say)
    for warning in task.warnings:
        note(f"task: {warning}")
    if task.peer is not None:
        note_clocks(task, note)
    evaluator = await _evaluator(
        task, choice.provider, workers, log, packages, secret, note
    )
    try:
        if isinstance(evaluator, AgentEvaluator):
            await evaluator.complete()
        yield evaluator
    finally:
        await evaluator.close()


def note_clocks(task: Task, note: Note) -> None:
    """Explain how the clocks of another engine's evaluator are corrected.

    Args:
        task: The task.
        note: Called with one line, if its evaluator reads a clock.
    """
    explained = clocks_of(task.folder, task.evaluator).explained()
    if explained is not None:
        note(f"clocks: {explained}")


def _scorer_packages(task: Task, note: Note) -> Path | None:
    """Install the packages and sources that evaluate.py needs.

    Returns:
        The directory with the packages; None if it needs none.

    Raises:
        SandboxUnavailable: One of them can't be installed.
    """
    environment = task.spec.environment
    wanted, sources = environment.scorer_packages, environment.scorer_sources
    if not wanted and not sources:
        return None
    return packages_folder(wanted, note, sources, environment.builds)


async def _evaluator(
    task: Task,
    provider: Provider,
    workers: int,
    log: Path,
    packages: Path | None,
    secret: int | None,
    note: Note,
) -> Evaluator:
    """Create the evaluator; the episodes of agents run in separate, fresh sandboxes."""
    if task.spec.agent is None:
        return Evaluator(task, Pool(provider, workers), log, packages, secret, note)
    episodes = type(provider)(replace(provider.spec, fresh=True, shares_folder=True))
    await episodes.prepare(note)
    return AgentEvaluator(
        task,
        Pool(provider, workers),
        Pool(episodes, workers),
        log,
        packages,
        secret,
        note,
    )


async def score_seed(evaluator: Evaluator, proposal: Proposal | None = None) -> Verdict:
    """Score the seed before the search begins.

    Args:
        evaluator: The evaluator of the run.
        proposal: The proposal that model calls of an agent belong to; None for programs.

    Returns:
        The evaluation, without a failure.

    Raises:
        TaskError: The seed fails, or scores better than the ceiling.
        RunError: The sandbox failed, or the budget is exhausted.
        Interrupted: The run was asked to stop.
    """
    task = evaluator.task
    try:
        cases = task.spec.first_cases
        async with counting_cases(evaluator, "the seed", len(cases)):
            verdict = await evaluator.evaluate(task.seed, cases, 0, proposal)
    except Interrupted:
        raise
    except OutOfBudget as error:
        raise RunError(
            f"{error}, before the seed was scored",
            "allow more: --budget, --max-tokens, --max-calls; then: evolve resume",
        ) from None
    except ProviderFault as fault:
        raise sandbox_failed(fault) from None
    if verdict.failed is not None:
        row = verdict.failed
        log = f"\n{row.log.strip()}" if row.log.strip() else ""
        raise TaskError(
            f"the seed fails on case {row.case} ({row.reason}): {row.message}{log}",
            f"{missing_package(row) or 'fix the task'}, then: evolve eval {quoted(task.folder)}",
        )
    if task.above_ceiling(verdict.score):
        raise TaskError(
            f"the seed scores {verdict.score!r}, better than the ceiling of "
            f"{task.spec.ceiling!r}: it would be quarantined",
            f"no program may exceed the ceiling: fix it in {task.folder / 'task.toml'}"
            ", or evaluate.py",
        )
    return verdict


def missing_package(row: Evaluation) -> str:
    """Return a hint for the task's author if a candidate lacks a package in its sandbox.

    Args:
        row: A failed evaluation.

    Returns:
        The hint; empty if the failure has another cause.
    """
    if row.reason != "exception" or not row.message.startswith("ModuleNotFoundError"):
        return ""
    return "name what candidates import in task.toml: [environment] packages = [...]"

"""Opening what scores: a prepared sandbox and a scorer, for programs or for agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from evolve.agents import AgentEvaluator
from evolve.archive import Evaluation, Proposal
from evolve.errors import RunError, TaskError
from evolve.evaluation import confinement
from evolve.evaluation.evaluator import Evaluator, Verdict
from evolve.models import Interrupted, OutOfBudget
from evolve.retry import sandbox_failed
from evolve.sandbox import (
    Limits,
    Pool,
    Provider,
    ProviderFault,
    SandboxSpec,
    prepare_provider,
)
from evolve.sandbox.rootfs import packages_folder
from evolve.tasks import Task

# copied with all that they need
AGENT_TOOLS = ("bash", "sh", "ls", "grep", "sed", "find", "diff")
_MIB = 1024 * 1024


def sandbox_spec(task: Task) -> SandboxSpec:
    """What the task asks of its sandbox."""
    given, environment = task.spec.limits, task.spec.environment
    limits = Limits(
        time_s=given.time_s,
        memory_bytes=given.memory_mb * _MIB,
        processes=given.processes,
        cpus=given.cpus,
        output_bytes=given.output_kb * 1024,
        disk_bytes=given.disk_mb * _MIB,
    )
    image = environment.image
    # the task's own, built here
    if image is not None and Path(image).name == "Dockerfile":
        image = str(task.folder / image)
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
    )


@asynccontextmanager
async def open_evaluator(
    task: Task,
    sandbox: str,
    workers: int,
    log: Path,
    note: Callable[[str], None],
    secret: int | None = None,
) -> AsyncIterator[Evaluator]:
    """A prepared sandbox and scorer. Raises `SandboxUnavailable`; nothing falls back in silence."""
    choice = await prepare_provider(sandbox, sandbox_spec(task), note)
    for reason in choice.passed_over:
        note(f"sandbox: {choice.provider.name} is used ({reason})")
    if not choice.provider.isolates:
        note(
            "sandbox: local isolates NOTHING: candidates run as you, with your files and network"
        )
    if not confinement.is_available():
        note(
            "scorer: it runs as you, with your files and network: bubblewrap does not work here"
        )
    packages = await asyncio.to_thread(_scorer_packages, task, note)
    for warning in task.warnings:
        note(f"task: {warning}")
    evaluator = await _evaluator(
        task, choice.provider, workers, log, packages, secret, note
    )
    try:
        if isinstance(evaluator, AgentEvaluator):
            await evaluator.complete()
        yield evaluator
    finally:
        await evaluator.close()


def _scorer_packages(task: Task, note: Callable[[str], None]) -> Path | None:
    """What evaluate.py needs installed, or to read. Raises `SandboxUnavailable`."""
    wanted, sources = (
        task.spec.environment.scorer_packages,
        task.spec.environment.scorer_sources,
    )
    return packages_folder(wanted, note, sources) if wanted or sources else None


async def _evaluator(
    task: Task,
    provider: Provider,
    workers: int,
    log: Path,
    packages: Path | None,
    secret: int | None,
    note: Callable[[str], None],
) -> Evaluator:
    """For programs, or for agents, whose episodes have boxes of their own."""
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
    """Score the seed before the search begins. Raises `TaskError` when it has no score."""
    task = evaluator.task
    try:
        verdict = await evaluator.evaluate(
            task.seed, task.spec.first_cases, 0, proposal
        )
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
            f"{missing_package(row) or 'mend the task'}, then: evolve eval {task.folder}",
        )
    if task.above_ceiling(verdict.score):
        raise TaskError(
            f"the seed scores {verdict.score!r}, better than the ceiling of "
            f"{task.spec.ceiling!r}: nothing would ever count",
            f"a ceiling is what no program can pass: mend it in {task.folder / 'task.toml'}"
            ", or evaluate.py",
        )
    return verdict


def missing_package(row: Evaluation) -> str:
    """What its author does where a candidate imports what its sandbox lacks; empty: it does not."""
    if row.reason != "exception" or not row.message.startswith("ModuleNotFoundError"):
        return ""
    return "name what candidates import in task.toml: [environment] packages = [...]"

"""Single episodes outside of a run: a real sandbox, a real archive, a real model server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from evolve.agents import AgentRunner
from evolve.agents.front_process import Front
from evolve.archive import SEED, Proposal, State, derive_id
from evolve.config import Settings
from evolve.engine.recorder import Recorder
from evolve.models import BudgetedModels, Episode
from evolve.runs.evaluator import AGENT_TOOLS
from evolve.sandbox import Limits, Pool, SandboxSpec, provider_class
from evolve.sandbox.limits import MIB
from evolve.tasks import AgentSpec, AgentTask, EpisodeResult
from tests.made_runs import opened_recorder

WORK = AgentTask("Do something.\n", {"main.py": b"print('nothing')\n"})
LIMITS = Limits(memory_bytes=256 * MIB, disk_bytes=16 * MIB, output_bytes=MIB)


@dataclass
class Desk:
    """What an episode needs, open."""

    recorder: Recorder
    caller: BudgetedModels
    proposal: Proposal


@asynccontextmanager
async def desk(folder: Path, model: str, **settings: object) -> AsyncIterator[Desk]:
    """An archive with a planned proposal, and a caller; an archive that is there goes on."""
    chosen = Settings.model_validate({"model": (model,), "patience_s": 2.0} | settings)
    facts = {"evaluator": "none", "seed": "0"}
    async with (
        opened_recorder(folder, facts) as recorder,
        aclosing(BudgetedModels(chosen, recorder, lambda line: None)) as caller,
    ):
        proposal = Proposal(derive_id(0, 0), 0, State.PLANNED, SEED, (), 0, time.time())
        if not recorder.unfinished():
            await recorder.plan(proposal)
        yield Desk(recorder, caller, proposal)


@asynccontextmanager
async def one_front() -> AsyncIterator[Front]:
    """A process that reads what an agent sends."""
    front = await Front.start()
    try:
        yield front
    finally:
        await front.close()


@asynccontextmanager
async def runner(
    place: str, caller: BudgetedModels, limits: AgentSpec, size: int = 1
) -> AsyncIterator[AgentRunner]:
    """Boxes for episodes in a named sandbox."""
    spec = SandboxSpec(LIMITS, tools=AGENT_TOOLS, fresh=True, shares_folder=True)
    provider = provider_class(place)(spec)
    await provider.prepare(lambda line: None)
    shop = AgentRunner(Pool(provider, size), caller, limits, 1024, 2.0)
    try:
        yield shop
    finally:
        await shop.close_fronts()
        await shop.pool.close()


async def one_episode(
    place: str,
    folder: Path,
    model: str,
    agent: str | Mapping[str, bytes],
    limits: AgentSpec | None = None,
    work: AgentTask = WORK,
    **settings: object,
) -> EpisodeResult:
    """Let one agent, a tree or the text of its agent.py, work once."""
    files = {"agent.py": agent.encode()} if isinstance(agent, str) else agent
    async with (
        desk(folder, model, **settings) as open_desk,
        runner(place, open_desk.caller, limits or with_limits()) as shop,
    ):
        return await shop.episode(
            open_desk.proposal, Episode("case one", 0), files, work
        )


def with_limits(**limits: object) -> AgentSpec:
    """Limits of a case; the others are wide."""
    return AgentSpec.model_validate({"time_s": 20.0} | limits)

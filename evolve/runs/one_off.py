"""Evaluation outside of a run: an agent's model calls are kept in a temporary archive."""

import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from evolve.agents import AgentEvaluator
from evolve.archive import SEED, Archive, CodeStore, Proposal, State, derive_id
from evolve.config import Settings
from evolve.engine.recorder import Recorder
from evolve.evaluation.evaluator import Evaluator
from evolve.models import BudgetedModels, local_models
from evolve.runs.build import check_models, require_model


@asynccontextmanager
async def alone(
    evaluator: Evaluator, settings: Settings, note: Callable[[str], None]
) -> AsyncIterator[Proposal | None]:
    """Provide a proposal that the model calls of an agent belong to, outside of a run.

    Args:
        evaluator: The evaluator, which is connected to the models.
        settings: Models and budgets.
        note: Called with messages for people.

    Yields:
        The proposal; None for programs, which ask no model.

    Raises:
        ConfigError: There is no model that can play an agent.
    """
    if not isinstance(evaluator, AgentEvaluator):
        yield None
        return
    require_model(evaluator.task, settings)
    await check_models(settings)
    with tempfile.TemporaryDirectory(prefix="evolve-alone-") as folder:
        database, code = Path(folder) / "archive.db", Path(folder) / "code.git"
        Recorder.create(
            database, code, {"evaluator": evaluator.task.evaluator_hash, "seed": "0"}
        )
        recorder = Recorder(
            Archive.open_to_write(database), CodeStore.open_to_write(code), True
        )
        try:
            async with (
                local_models(settings, note) as addresses,
                aclosing(BudgetedModels(settings, recorder, note, addresses)) as caller,
            ):
                await caller.meet()
                evaluator.connect(caller, settings.reply_tokens, settings.patience_s)
                proposal = Proposal(
                    derive_id(0, 0), 0, State.PLANNED, SEED, (), 0, time.time()
                )
                await recorder.plan(proposal)
                yield proposal
        finally:
            await recorder.close()

"""Grading of what an agent left behind, without an agent: workspaces and verdicts of an agent task."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from evolve.agents import AgentEvaluator
from evolve.archive import Evaluation
from evolve.evaluation.evaluator import Evaluator
from evolve.runs.evaluator import open_evaluator
from evolve.tasks import CaseSpec, load_task


class Grader:
    """One pool of boxes and scorers for many verdicts."""

    def __init__(self, folder: Path, log: Path, sandbox: str = "docker") -> None:
        self._runner = asyncio.Runner()
        self._opened: AbstractAsyncContextManager[Evaluator] = open_evaluator(
            load_task(folder), sandbox, 1, log, lambda _: None, 7
        )

    def __enter__(self) -> Grader:
        found = self._runner.run(self._opened.__aenter__())
        assert isinstance(found, AgentEvaluator)
        self._evaluator = found
        return self

    def __exit__(self, *details: object) -> None:
        self._runner.run(self._opened.__aexit__(None, None, None))
        self._runner.close()

    @property
    def cases(self) -> tuple[CaseSpec, ...]:
        return self._evaluator.task.spec.cases

    def workspace(self, case: CaseSpec) -> tuple[str, dict[str, bytes]]:
        """The statement and the files."""
        made: Any = self._runner.run(self._evaluator.prepared("workspace", case))
        return made["statement"], {
            path: data.encode() if isinstance(data, str) else data
            for path, data in made["files"].items()
        }

    def grade(self, case: CaseSpec, files: dict[str, bytes]) -> Evaluation:
        """The row of these files."""
        return self._runner.run(self._evaluator._evaluate_case(files, case, 0))

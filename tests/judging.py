"""Many programs scored in this process, by evaluators that stay."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from evolve.archive import Evaluation
from evolve.evaluation.evaluator import Evaluator, Verdict
from evolve.runs.evaluator import open_evaluator
from evolve.tasks import Task, load_task


def verdicts(
    task: Task, programs: Sequence[bytes], sandbox: str, log: Path
) -> list[Verdict]:
    """Each program in the entry's place, one after the other in one pool."""

    async def score() -> list[Verdict]:
        async with open_evaluator(task, sandbox, 1, log, lambda _: None) as evaluator:
            return [
                await evaluator.evaluate(
                    dict(task.seed) | {task.entry: program},
                    task.spec.cases_of("search"),
                )
                for program in programs
            ]

    return asyncio.run(score())


class Judge:
    """Scores programs for tasks one at a time; sandboxes and evaluators stay until the end."""

    def __init__(self, sandbox: str, log: Path) -> None:
        self._sandbox, self._log = sandbox, log
        self._runner = asyncio.Runner()
        self._open: dict[
            Path, tuple[Task, Evaluator, AbstractAsyncContextManager[Evaluator]]
        ] = {}

    def __enter__(self) -> Judge:
        return self

    def __call__(self, folder: Path, program: str | None = None) -> Evaluation:
        """The verdict on a program in the entry's place, or on the seed."""
        if program is None:
            return self.files(folder, {})
        return self.files(folder, {load_task(folder).entry: program.encode()})

    def files(self, folder: Path, changed: Mapping[str, bytes]) -> Evaluation:
        """The verdict on the seed with changed files."""
        if folder not in self._open:
            task = load_task(folder)
            manager = open_evaluator(task, self._sandbox, 1, self._log, lambda _: None)
            self._open[folder] = task, self._runner.run(manager.__aenter__()), manager
        task, evaluator, _ = self._open[folder]
        files = dict(task.seed) | dict(changed)
        return self._runner.run(
            evaluator.evaluate(files, task.spec.cases_of("search"))
        ).rows[-1]

    def __exit__(self, *details: object) -> None:
        for _, _, manager in self._open.values():
            self._runner.run(manager.__aexit__(None, None, None))
        self._runner.close()

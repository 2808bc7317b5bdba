"""Fetch and build what the tests would make on first use: packages, sources, root file systems.

    python -m tests.prepare

`tests/setup` runs it. Everything lands in the cache that runs use, so a second call does nothing.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evolve.runs.evaluator import sandbox_spec
from evolve.sandbox.rootfs import build_rootfs, packages_folder
from evolve.tasks import Task, load_task

ROOT = Path(__file__).parents[1]
TASKS = sorted((ROOT / "tasks").iterdir())


def main() -> None:
    """Prepare every task that ships, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(prepare, [load_task(folder) for folder in TASKS]):
            pass


def prepare(task: Task) -> None:
    """Make what the scorer and the sandbox of one task need."""
    environment, spec = task.spec.environment, sandbox_spec(task)
    if environment.scorer_packages or environment.scorer_sources:
        packages_folder(
            environment.scorer_packages,
            _say,
            environment.scorer_sources,
            environment.builds,
        )
    if spec.image is None:
        build_rootfs(spec.packages, _say, spec.tools, spec.builds)


def _say(line: str) -> None:
    sys.stderr.write(f"  {line}\n")


if __name__ == "__main__":
    main()

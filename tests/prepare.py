"""Fetch and build what the tests would make on first use: packages, root file systems, images, byte code.

    python -m tests.prepare

`tests/setup` runs it. Everything lands in the cache that runs use, beside the sources, or in Docker
where an engine answers, so a second call does next to nothing.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from evolve.runs.evaluator import sandbox_spec
from evolve.sandbox import SandboxUnavailable
from evolve.sandbox.docker import connect
from evolve.sandbox.image import own_image
from evolve.sandbox.rootfs import build_rootfs, packages_folder
from evolve.tasks import Task, load_task

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / "tasks", ROOT / "tests/tasks", ROOT / "tests/tasks/peers")
TASKS = [
    folder
    for place in FOLDERS
    for folder in sorted(place.iterdir())
    if folder.is_dir() and folder not in FOLDERS
]


class Root(NamedTuple):
    """What decides about a root file system: packages and tools."""

    packages: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


# of tasks that tests write: tests/security/test_state_between_runs.py
WRITTEN = (Root(tools=("cp",)),)


def main() -> None:
    """Prepare every task that ships and those of the tests, two things at a time."""
    tasks = [load_task(folder) for folder in TASKS]
    roots = {*WRITTEN, *(root for task in tasks for root in _root_of(task))}
    make = _root_and_image if _docker_answers() else _root
    works: list[Callable[[], object]] = [partial(make, root) for root in sorted(roots)]
    works += [_compile]
    works += [
        partial(packages_folder, packages, _say, sources)
        for packages, sources in sorted({_scorer_needs(task) for task in tasks})
        if packages or sources
    ]
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda work: work(), works):
            pass


def _compile() -> None:
    """Byte code of our modules, and of the tests as pytest rewrites them.

    Else each process of each test compiles them where PYTHONDONTWRITEBYTECODE is set.
    """
    for package in ("evolve", "archive", "sandbox"):
        compileall.compile_dir(ROOT / package, quiet=2)
    subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0"],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
        stdout=subprocess.DEVNULL,
        check=False,  # pytest itself will say what is wrong
    )


def _root_of(task: Task) -> Iterable[Root]:
    spec = sandbox_spec(task)
    return [Root(spec.packages, spec.tools)] if spec.image is None else []


def _scorer_needs(task: Task) -> tuple[tuple[str, ...], tuple[str, ...]]:
    environment = task.spec.environment
    return environment.scorer_packages, environment.scorer_sources


def _docker_answers() -> bool:
    try:
        connect().close()
    except SandboxUnavailable:
        return False
    return True


def _root(root: Root) -> None:
    build_rootfs(root.packages, _say, root.tools)


def _root_and_image(root: Root) -> None:
    client = connect()
    try:
        own_image(client, root.packages, root.tools, _say)
    finally:
        client.close()


def _say(line: str) -> None:
    sys.stderr.write(f"  {line}\n")


if __name__ == "__main__":
    main()

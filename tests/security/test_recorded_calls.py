"""Variants of a recorded function that cheat: none gains."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.tasks import load_task
from tests.cli import evolve
from tests.judging import Judge
from tests.repositories import LEDGER, write_repository

pytestmark = pytest.mark.slow
FILE = "ledger/entries.py"
MARK = "def summarize(entries"
# a default value is computed at import: it may patch what calls the function
PATCHES = {
    "answers made before the interval": """
def _patch():
    from evolve_inside import evolve_calls as inner
    prepare, timed, known = inner.Calls.prepare, inner.Calls.timed, {}
    def early(self, calls):
        made = prepare(self, calls)
        for args, kwargs in made:
            known[id(args[1])] = timed(self, *args, **kwargs)
        return made
    inner.Calls.prepare = early
    inner.Calls.timed = lambda self, target, *args, **kwargs: known.pop(id(args[0]), None) or timed(self, target, *args, **kwargs)
""",
    "answers that are not computed": """
def _patch():
    from evolve_inside import evolve_calls as inner
    inner.Calls.timed = lambda self, target, *args, **kwargs: []
""",
    "inputs that are easier": """
def _patch():
    from evolve_inside import evolve_calls as inner
    loaded = inner.Calls._loaded
    def small(self, number, seed, change):
        positional, named = loaded(self, number, seed, change)
        return [positional[0][:1], *positional[1:]], named
    inner.Calls._loaded = small
""",
    "descriptions that are equal": """
def _patch():
    from evolve_inside import evolve_calls as inner
    inner.describe = lambda value: ["equal"]
""",
}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cheats")
    repository = write_repository(place / "ledger", LEDGER)
    target = "ledger.entries:summarize"
    done = evolve(
        "optimize",
        target,
        "-o",
        place / "task",
        "--sandbox",
        "bubblewrap",
        cwd=repository,
    )
    assert done.code == 0, done.err
    return place / "task"


@pytest.mark.parametrize("sandbox", ["bubblewrap", "docker"])
@pytest.mark.parametrize("patch", sorted(PATCHES))
def test_a_patched_caller_gains_nothing(
    task: Path, patch: str, sandbox: str, tmp_path: Path
) -> None:
    seed = load_task(task).seed[FILE].decode()
    cheat = seed.replace(MARK, f"{PATCHES[patch]}\n{MARK}").replace(
        "limit=None):", "limit=None, _=_patch()):", 1
    )
    # the module of the calls is loaded before the function's: nothing is too late
    assert "_patch()" in cheat
    with Judge(sandbox, tmp_path / "log") as judge:
        row = judge.files(task, {FILE: cheat.encode()})
    assert row.score is None or row.score <= 1.0, row

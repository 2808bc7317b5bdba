"""`from evolve import open_run`: runs in Python and in notebooks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import evolve
from evolve import open_run
from evolve.archive import derive_id
from evolve.errors import ConfigError, UsageError
from tests.cli import evolve as cli
from tests.made_runs import Made, make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebook") / "runs"
    make_run(folder, "made", Made(40, seed=2, hostile=True))
    return folder


def test_a_run_in_python(runs: Path) -> None:
    with open_run("made", runs) as run:
        assert len(run.variants) == 41
        scored = [v for v in run.variants if v.score is not None]
        assert run.best.score == max(v.score for v in scored)
        assert "def answer" in run.best.files["program.py"]
        assert run["seed"].id == derive_id(2, 0) and run["seed"].number == 0
        assert 0 < len(run.programs) < len(run.variants)
        assert all(v.files and v.patch for v in run.programs[1:])
        assert run.variants[-1].number == 40 and [
            v.number for v in run.variants[3:5]
        ] == [3, 4]
        assert run.best.evaluations[0].score == run.best.score
        assert "+" in run.best.patch and run.best.id[:8] in run.tree()
        assert "41 variants" not in repr(run) and "made" in repr(run)
        with pytest.raises(AttributeError, match="it has files"):
            _ = run.best.nothing


def test_variants_become_a_frame(runs: Path) -> None:
    with open_run(runs / "made") as run:
        frame = run.variants.to_pandas()
        assert len(frame) == 41 and frame.index.name == "id"
        assert frame.score.max() == run.best.score
        assert frame["measure.code_length"].notna().sum() == frame.score.notna().sum()
        assert frame.created_at.is_monotonic_increasing


def test_a_notebook_shows_text_as_text(runs: Path) -> None:
    with open_run("last", runs) as run:
        for html in (run._repr_html_(), run.variants._repr_html_()):
            assert (
                "<table>" in html and "<script" not in html and "&lt;script&gt;" in html
            )


def test_no_run_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run"):
        open_run("last", tmp_path)


def test_the_door_costs_nothing_until_it_is_opened() -> None:
    code = "import sys, evolve; print([n for n in ('sqlalchemy', 'numpy', 'rich') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_run_is_started_from_python(
    tmp_path: Path, steps_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    notes: list[str] = []
    with evolve.run(
        steps_task,
        name="mine",
        note=notes.append,
        policy="beam:width=2",
        operators="syntactic:more=0.5",
        max_variants=4,
        sandbox="local",
    ) as run:
        assert run.name == "mine" and len(run.variants) >= 5
        assert {v.operator for v in run.variants[1:]} == {"syntactic:more=0.5"}
    assert any("sandbox: local" in note for note in notes)
    with open_run("mine") as again:
        assert again.best.score is not None
    shown = cli("status", "mine", "--json", cwd=tmp_path).json()
    assert shown["variants"] == 4


def test_a_run_is_started_inside_an_event_loop(
    tmp_path: Path, steps_task: Path
) -> None:
    """As in a notebook."""

    async def cell() -> int:
        with evolve.run(
            steps_task, runs_dir=tmp_path, max_variants=2, sandbox="local"
        ) as run:
            return len(run.variants)

    assert asyncio.run(cell()) == 3


def test_settings_from_python_are_checked(tmp_path: Path, steps_task: Path) -> None:
    with pytest.raises(ConfigError, match="unknown setting 'polcy'"):
        evolve.run(steps_task, runs_dir=tmp_path, polcy="beam")
    with pytest.raises(ConfigError, match="unknown parameter 'widht'"):
        evolve.run(steps_task, runs_dir=tmp_path, policy="beam:widht=2")
    assert list(tmp_path.iterdir()) == []

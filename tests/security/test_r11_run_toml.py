"""A run of somebody else decides nothing until this user accepts it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from evolve.trust.store import data_folder
from tests.cli import evolve
from tests.security.strangers import (
    copy_run,
    leaves,
    listening,
    make_foreign,
    new_run,
    on,
    write_task,
)

EXECUTING: dict[str, tuple[str, ...]] = {
    "verify": (),
    "replay": ("--name", "again"),
    "resume": ("--max-variants", "5"),
    "promote": (),
    "fork": ("--from", "best", "--max-variants", "1"),
}
READING = ("tree", "status", "log", "stats", "audit", "ls")


def change(run: Path, **settings: Any) -> None:
    """Change settings of a run by hand."""
    values = tomllib.loads((run / "run.toml").read_text())
    values["settings"] |= settings
    (run / "run.toml").write_text(tomli_w.dumps(values))


def test_a_changed_sandbox_does_not_run_the_program_as_the_user(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    run = new_run(tmp_path, write_task(tmp_path / "task", program=leaves(mark)))
    change(run, sandbox="local")
    for verb, options in EXECUTING.items():
        done = on(run, verb, *options)
        assert done.code == 3 and "its programs run as you" in done.err, verb
        assert "--trust" in done.err and f"evolve trust {run}" in done.err, verb
        assert not mark.exists(), verb


@pytest.mark.parametrize("verb", EXECUTING)
def test_a_run_without_a_signature_asks_first(run: Path, verb: str) -> None:
    done = on(make_foreign(run), verb, *EXECUTING[verb])
    assert done.code == 3 and "--trust" in done.err


@pytest.mark.parametrize("verb", READING)
def test_reading_a_foreign_run_asks_nothing(run: Path, verb: str) -> None:
    make_foreign(run)
    done = evolve("ls", "--runs-dir", run.parent) if verb == "ls" else on(run, verb)
    assert done.code == 0, done.err


def test_no_key_goes_to_an_address_of_a_stranger(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-victim")
    with listening() as server:
        model = f"openai/gpt-4o-mini@{server.address}"
        price = {"openai/gpt-4o-mini": [1.0, 2.0]}  # else litellm is asked for it
        operators = {"rewrite": 1.0}
        change(run, model=[model], operators=operators, price=price, patience_s=0.0)
        done = on(run, "resume", "--max-variants", "4")
        assert done.code == 3 and server.heard == []
        assert f"{model}, which is sent OPENAI_API_KEY" in done.err
        on(run, "resume", "--max-variants", "4", "--trust")
        assert set(server.heard) == {"Bearer sk-victim"}


@pytest.mark.parametrize(
    "settings",
    [
        {"policy": "evil.module:Policy"},
        {"operators": {"evil.module:Operator": 1.0}},
        {"vllm_command": "touch /tmp/evil", "model": ["vllm:x"]},
        {"embedding": "transformer:/tmp/evil"},
    ],
)
def test_what_a_run_wants_is_named(run: Path, settings: dict[str, Any]) -> None:
    change(run, **settings)
    done = on(run, "resume")
    assert done.code == 3 and "evil" in done.err


@pytest.mark.parametrize("name", ["evaluate.py", "task.toml", "initial/main.py"])
def test_a_changed_copy_of_the_task_is_foreign(run: Path, name: str) -> None:
    path = run / "task" / name
    path.write_text(path.read_text() + "# more\n")
    done = on(run, "verify")
    assert done.code != 0
    assert "--trust" in done.err or "scored by another evaluator" in done.err


def test_a_copied_or_moved_run_stays_one_s_own(run: Path, tmp_path: Path) -> None:
    copy = copy_run(run, tmp_path / "copies")
    assert on(copy, "resume", "--max-variants", "4").code == 0
    moved = run.rename(tmp_path / "copies" / "moved")
    assert on(moved, "resume", "--max-variants", "4").code == 0


def test_the_engine_s_own_changes_keep_the_signature(run: Path) -> None:
    for number in ("4", "5"):
        assert on(run, "resume", "--max-variants", number).code == 0
    assert on(run, "verify").code == 0


def test_trust_lasts_until_the_next_change(run: Path) -> None:
    assert evolve("trust", make_foreign(run)).code == 0
    assert on(run, "verify").code == 0
    change(run, workers=3)
    assert on(run, "verify").code == 3


def test_a_signature_of_another_user_is_worth_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = data_folder() / "key"
    assert key.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    assert on(run, "verify").code == 3


def test_without_a_place_for_a_key_a_run_is_made_and_asks_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    run = new_run(tmp_path, write_task(tmp_path / "task"))
    done = on(run, "resume", "--max-variants", "5")
    assert done.code == 3 and "--trust" in done.err

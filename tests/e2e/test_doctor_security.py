"""`evolve doctor --security`: each line of the table, with gaps made on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import evolve
from tests.containers import in_a_default_container
from tests.made_runs import Made, make_run

LINES = ("Docker", "namespaces", "system calls", "memory", "scorers", "Landlock")


def lines_of(text: str) -> dict[str, dict[str, str]]:
    """The findings by the first word of what they say."""
    return {found["what"].split(":")[0]: found for found in json.loads(text)}


def test_every_line_is_there_and_gaps_come_with_their_fix(tmp_path: Path) -> None:
    done = evolve("doctor", "--security", "--runs-dir", tmp_path, "--json")
    found = lines_of(done.out)
    assert [name for name in LINES if name not in found] == []
    assert all(line["fix"] for line in found.values() if line["state"] != "ok")
    assert (done.code == 3) == any(line["state"] == "fail" for line in found.values())


@pytest.mark.docker
def test_three_gaps_are_named_with_their_fix() -> None:
    """A default container: no user namespaces, no control group; and a key in the environment."""
    done = in_a_default_container(
        "doctor", "--security", "--json", OPENAI_API_KEY="sk-secret"
    )
    found = lines_of(done.stdout)
    assert done.returncode == 3, done.stderr
    namespaces = found["namespaces"]
    assert namespaces["state"] == "fail" and "seccomp" in namespaces["what"]
    assert "--security-opt seccomp=unconfined" in namespaces["fix"]
    memory = found["memory"]
    assert memory["state"] == "warn" and "no control group" in memory["what"]
    assert "enable-linger" in memory["fix"]
    keys = found["keys in the environment of every program that you start"]
    assert keys["state"] == "warn" and "OPENAI_API_KEY" in keys["what"]
    assert "sk-secret" not in done.stdout + done.stderr


def test_foreign_and_damaged_runs_are_listed(tmp_path: Path) -> None:
    make_run(tmp_path, "mine", Made(3))
    make_run(tmp_path, "given", Made(3))
    (tmp_path / "given" / "signature").unlink(missing_ok=True)
    make_run(tmp_path, "damaged", Made(3))
    (tmp_path / "damaged" / "run.toml").write_text("no [toml")
    done = evolve("doctor", "--security", "--runs-dir", tmp_path)
    (line,) = [line for line in done.out.splitlines() if "runs of somebody" in line]
    assert "given" in line and "damaged (" in line and "mine" not in line

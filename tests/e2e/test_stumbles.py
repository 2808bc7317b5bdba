"""What people do to a tool, and what it says: each of these once stopped somebody."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evolve.archive import Archive, Steering
from tests.cli import EVOLVE, ScriptedServer, evolve, evolve_process
from tests.e2e.test_steering import wait_for
from tests.made_runs import Made, make_run

BOX = ("--sandbox", "local")


@pytest.fixture
def task(tmp_path: Path, tasks: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(tasks / "cap_set", tmp_path / "task"))


def test_a_damaged_run_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    for name in ("whole", "typo", "empty", "bare"):
        make_run(tmp_path / "runs", name, Made(3))
    toml = tmp_path / "runs" / "typo" / "run.toml"
    toml.write_text(toml.read_text().replace("workers", "workrs"))
    (tmp_path / "runs" / "empty" / "archive.db").unlink()
    (tmp_path / "runs" / "bare" / "lock").unlink()
    make_run(tmp_path / "runs", "bytes", Made(3))
    (tmp_path / "runs" / "bytes" / "run.toml").write_bytes(b"\xff\xfe")
    rows = {row["run"]: row for row in evolve("ls", "--json", cwd=tmp_path).json()}
    assert (
        "unknown setting 'workrs'" in rows["typo"]["damaged"]
        and rows["empty"]["damaged"]
    )
    assert rows["whole"]["scored"] and rows["bare"]["scored"]
    shown = evolve("ls", cwd=tmp_path)
    assert shown.code == 0 and shown.out.count("damaged: ") == 3
    assert evolve("tree", "bare", cwd=tmp_path).code == 0
    refused = evolve("tree", "typo", cwd=tmp_path)
    assert refused.code == 2 and "did you mean 'workers'?" in refused.err
    nobody = evolve("tree", "whale", cwd=tmp_path)
    assert (
        nobody.code == 2
        and "there is no run 'whale'" in nobody.err
        and "'whole'" in nobody.err
    )


def test_the_last_run_is_no_replay(tmp_path: Path, steps_task: Path) -> None:
    assert (
        evolve(
            "run", steps_task, *BOX, "--name", "r", "--max-variants", 3, cwd=tmp_path
        ).code
        == 0
    )
    assert evolve("replay", "r", *BOX, cwd=tmp_path).code == 0
    assert evolve("status", "--json", cwd=tmp_path).json()["run"] == "r"
    assert (
        evolve("status", "r-replay", "--json", cwd=tmp_path).json()["run"] == "r-replay"
    )
    refused = evolve("compare", "r", "r-replay", cwd=tmp_path)
    assert refused.code == 2 and "is a replay" in refused.err


def test_rm_without_asking_takes_whole_names_only(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "precious", Made(3))
    refused = evolve("rm", "pre", "--yes", cwd=tmp_path)
    assert refused.code == 2 and "evolve rm precious --yes" in refused.err
    assert evolve("rm", "precious", "--yes", cwd=tmp_path).code == 0
    assert not (tmp_path / "runs" / "precious").exists()


def test_a_variant_is_found_by_its_number(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "r", Made(30))
    log = [
        e
        for e in evolve("log", "--json", cwd=tmp_path).events()
        if e["event"] == "finished"
    ]
    for event in (log[0], log[12]):
        shown = evolve("show", str(event["number"]), "--json", cwd=tmp_path).json()
        assert shown["id"] == event["proposal"] and shown["number"] == event["number"]
    assert (
        evolve("show", "31", cwd=tmp_path).code
        == evolve("show", "9" * 40, cwd=tmp_path).code
        == 2
    )


def test_what_a_person_gave_is_no_model_call(tmp_path: Path, steps_task: Path) -> None:
    assert (
        evolve(
            "run", steps_task, *BOX, "--name", "r", "--max-variants", 3, cwd=tmp_path
        ).code
        == 0
    )
    assert evolve("checkout", "seed", "seed", cwd=tmp_path).code == 0
    (program,) = (tmp_path / "seed").iterdir()
    program.write_text(program.read_text() + "\n# the same\n")
    assert evolve("add", program, "--run", "r", cwd=tmp_path).code == 0
    done = evolve("resume", "--max-variants", "+1", cwd=tmp_path)
    assert done.code == 0 and "model call" not in done.err
    assert evolve("status", "--json", cwd=tmp_path).json()["calls"] == 0
    twice = evolve("add", "r", program, "--run", "r", cwd=tmp_path)
    assert twice.code == 2 and "one run at a time" in twice.err


def slow(steps_task: Path, folder: Path) -> Path:
    """A copy whose scorer takes half a second."""
    task = Path(shutil.copytree(steps_task, folder / "task"))
    scorer = task / "evaluate.py"
    head = "def evaluate(candidate, case):"
    assert head in scorer.read_text()
    slower = scorer.read_text().replace(head, f"{head}\n    time.sleep(0.5)")
    scorer.write_text(f"import time\n{slower}")
    return task


def kill_with_four_in_flight(task: Path, folder: Path) -> None:
    command = [
        EVOLVE,
        "run",
        str(task),
        *BOX,
        "--name",
        "r",
        "--max-variants",
        "60",
        "--workers",
        "8",
    ]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for(
            lambda: (
                (folder / "runs" / "r").exists()
                and sum(
                    evolve("status", "r", "--json", cwd=folder)
                    .json()["in_flight"]
                    .values()
                )
                >= 4
            ),
            60,
        )
        process.kill()


def test_a_lower_limit_holds_for_what_was_begun_too(
    tmp_path: Path, steps_task: Path
) -> None:
    kill_with_four_in_flight(slow(steps_task, tmp_path), tmp_path)
    limit = evolve("status", "r", "--json", cwd=tmp_path).json()["variants"] + 2
    done = evolve("resume", "r", "--max-variants", limit, "--json", cwd=tmp_path)
    assert done.code == 0 and done.events()[-1]["variants"] == limit
    again = evolve("resume", "r", "--max-variants", "+30", "--json", cwd=tmp_path)
    assert again.code == 0 and again.events()[-1]["variants"] == limit + 30
    assert evolve("status", "r", "--json", cwd=tmp_path).json()["in_flight"] == {}


def test_a_ceiling_below_the_seed_is_an_error(task: Path) -> None:
    toml = task / "task.toml"
    toml.write_text(
        "".join(
            line
            for line in toml.read_text().splitlines(keepends=True)
            if not line.startswith("ceiling")
        ).replace("\n[", "\nceiling = 1.0\n\n[", 1)
    )
    done = evolve("run", task, *BOX, "--max-variants", 2, cwd=task.parent)
    assert done.code == 2 and "better than the ceiling of 1.0" in done.err, done.err
    assert not (task.parent / "runs").exists()
    scored = evolve("eval", task, *BOX, cwd=task.parent)
    assert scored.code == 0 and "better than the ceiling of 1.0" in scored.err


def test_settings_that_say_nothing(task: Path) -> None:
    done = evolve(
        "run", task, *BOX, "--max-variants", 1, "--budget", "5usd", cwd=task.parent
    )
    assert done.code == 0 and "asks no model, so budget_usd bounds nothing" in done.err
    assert "sandbox: local" in done.err
    refused = evolve("run", task, *BOX, "--target", "nan", cwd=task.parent)
    assert refused.code == 2 and "target" in refused.err
    (task.parent / ".env").write_text("EVOLVE_WORKERS=2\nmy key is secret\n")
    refused = evolve("ls", cwd=task.parent)
    assert refused.code == 0, "it reads no settings"
    refused = evolve("run", task, *BOX, cwd=task.parent)
    assert refused.code == 2 and ".env:2: use NAME=VALUE" in refused.err
    assert "secret" not in refused.err


@pytest.mark.parametrize(
    "arguments", [("best", "-o", "/proc/none"), ("ls",), ("tree",)]
)
def test_where_nothing_can_be_written(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    make_run(tmp_path / "runs", "r", Made(3))
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [EVOLVE, *arguments],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1 and "can't read or write" in done.stderr
    assert "report" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("lines", [0, 1, 6])
@pytest.mark.parametrize("json", [True, False])
def test_a_run_outlives_the_reader_of_its_output(
    tmp_path: Path, steps_task: Path, json: bool, lines: int
) -> None:
    command = [
        EVOLVE,
        "run",
        str(steps_task),
        *BOX,
        "--name",
        "r",
        "--max-variants",
        "10",
        *(["--json"] if json else []),
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        read, beside = (
            (process.stdout, process.stderr)
            if json
            else (process.stderr, process.stdout)
        )
        for _ in range(lines):
            read.readline()
        read.close()
        said = beside.read()
        assert process.wait(120) == 0
    assert "Traceback" not in said and ("the run goes on" in said) is json
    assert evolve("status", "r", "--json", cwd=tmp_path).json()["variants"] == 10


def test_a_reader_that_has_enough_ends_nothing_badly(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "r", Made(200))
    for verb in ("tree --top 100", "log", "tree --json", "stats"):
        done = subprocess.run(
            f"{EVOLVE} {verb} | head -1",
            shell=True,
            cwd=tmp_path,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.stdout and not {"Traceback", "error"} & set(done.stderr.split()), (
            done.stderr
        )


def test_signs_that_a_terminal_lacks(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "r", Made(3))
    done = evolve_process("tree", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert done.code == 0 and "numbers" in done.out


def test_a_run_whose_folder_is_moved_says_so(tmp_path: Path, steps_task: Path) -> None:
    command = [
        EVOLVE,
        "run",
        str(steps_task),
        *BOX,
        "--name",
        "r",
        "--max-variants",
        "3000",
    ]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        wait_for(
            lambda: (
                (tmp_path / "runs" / "r").exists()
                and evolve("status", "r", "--json", cwd=tmp_path).json()["variants"] > 3
            ),
            60,
        )
        os.rename(tmp_path / "runs" / "r", tmp_path / "elsewhere")
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in told
    assert "was the run moved or deleted?" in told
    assert evolve("resume", "elsewhere", "--max-variants", "+2", cwd=tmp_path).code == 0


def test_watching_without_a_terminal_prints_lines(
    tmp_path: Path, steps_task: Path
) -> None:
    command = [
        EVOLVE,
        "run",
        str(steps_task),
        *BOX,
        "--name",
        "r",
        "--max-variants",
        "5000",
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        wait_for(
            lambda: (
                (tmp_path / "runs" / "r").exists()
                and evolve("status", "r", "--json", cwd=tmp_path).json()["variants"] > 0
            ),
            60,
        )
        with subprocess.Popen(
            [EVOLVE, "watch", "r"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        ) as watching:
            assert watching.stdout is not None
            began = time.monotonic()
            lines = [watching.stdout.readline() for _ in range(6)]
            assert run.poll() is None and all(lines) and time.monotonic() - began < 60
            watching.kill()
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130


def test_why_a_variant_does_not_count(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "r", Made(20))
    ids = [
        v["id"]
        for v in evolve("tree", "--json", cwd=tmp_path).json()
        if v["score"] is not None
    ]
    archive = Archive.open_to_write(run.database)
    Steering(archive).ban("m", ids[1], "it cheats")
    Steering(archive).ban("promotion:x", ids[2], "canary")
    archive.close()
    for which, said in (
        (ids[1], "banned by a person, so it counts for nothing: it cheats"),
        (ids[2], "flagged in a promotion, so it counts for nothing: canary"),
    ):
        assert said in evolve("show", which, cwd=tmp_path).out


def test_runs_that_differ_in_more_than_their_draws_are_told_apart(
    tmp_path: Path, task: Path
) -> None:
    for name, more in (
        ("a", ("--seed", 1)),
        ("b", ("--seed", 2)),
        ("c", ("--operator", "syntactic")),
    ):
        done = evolve(
            "run", task, *BOX, "--name", name, "--max-variants", 4, *more, cwd=tmp_path
        )
        assert done.code == 0, done.err
    rows = {
        frozenset(row["runs"]): row["group"]
        for row in evolve("compare", "a", "b", "c", "--json", cwd=tmp_path).json()
    }
    assert set(rows) == {frozenset("ab"), frozenset("c")}
    assert "operators = {'syntactic': 1.0}" in rows[frozenset("c")]


def test_a_name_without_a_hint_is_no_hint(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "made", Made(3))
    refused = evolve("tell", "made", cwd=tmp_path)
    assert refused.code == 2 and "made is a run: the hint is missing" in refused.err


def test_stopped_while_vectors_wait_for_their_turn(
    tmp_path: Path, steps_task: Path, scripted: Callable[..., ScriptedServer]
) -> None:
    """Recording asks a model, too, where it makes the vectors; a stop there is one like any other."""
    server = scripted()
    env = {
        "EVOLVE_EMBEDDING": server.model,
        "EVOLVE_REQUESTS_PER_MINUTE": f'{{"{server.model}" = 2}}',
    }
    command = [
        EVOLVE,
        "run",
        str(steps_task),
        *BOX,
        "--name",
        "r",
        "--max-variants",
        "20",
        "--window",
        "3",
    ]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | env,
    ) as process:
        wait_for(
            lambda: server.stats()["calls"] + server.stats().get("embeddings", 0) >= 2,
            60,
        )
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=40)  # a turn would come after 60 s
    assert process.returncode == 130 and "unexpected" not in told, told


@pytest.mark.slow
def test_what_was_begun_is_finished_although_the_target_is_reached(
    tmp_path: Path, steps_task: Path
) -> None:
    task = slow(steps_task, tmp_path)
    kill_with_four_in_flight(task, tmp_path)
    done = evolve("resume", "r", "--target", "-1000", "--json", cwd=tmp_path)
    assert done.code == 0 and done.events()[-1]["stopped"].startswith("target"), (
        done.err
    )
    assert evolve("status", "r", "--json", cwd=tmp_path).json()["in_flight"] == {}

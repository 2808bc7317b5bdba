"""A run that can't start leaves nothing; one that fails later says why, and can go on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from tests.cli import EVOLVE, evolve, evolve_process
from tests.e2e.test_steering import wait_for

MISSING = {"EVOLVE_VLLM_COMMAND": "no-such-program"}


def test_a_run_that_never_began_leaves_no_folder(
    tmp_path: Path, steps_task: Path
) -> None:
    assert (
        evolve(
            "run",
            steps_task,
            "--name",
            "good",
            "--max-variants",
            1,
            "--sandbox",
            "local",
            cwd=tmp_path,
        ).code
        == 0
    )
    done = evolve(
        "run",
        steps_task,
        "--model",
        "vllm:/nosuch",
        "--sandbox",
        "local",
        cwd=tmp_path,
        env=MISSING,
    )
    assert (
        done.code == 3 and "no-such-program" in done.err and "Traceback" not in done.err
    )
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["good"]
    assert evolve("status", "--json", cwd=tmp_path).json()["run"] == "good"


def _works_in_a_box(pid: int) -> bool:
    """Whether it has started a sandbox that is more than a try whether there is one."""
    seen = psutil.process_iter(["ppid", "name", "create_time"])
    return any(
        each.info["ppid"] == pid
        and each.info["name"] == "bwrap"
        and time.time() - each.info["create_time"] > 2.0
        for each in seen
    )


def test_a_start_that_is_stopped_says_that_there_is_no_run(
    tmp_path: Path, steps_task: Path
) -> None:
    task = shutil.copytree(steps_task, tmp_path / "task")
    (program,) = (task / "initial").iterdir()
    program.write_text(f"import time\ntime.sleep(60)\n{program.read_text()}")
    toml = (task / "task.toml").read_text()
    (task / "task.toml").write_text(toml.replace("time_s = 5", "time_s = 100"))
    command = [EVOLVE, "run", str(task), "--sandbox", "bubblewrap"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        wait_for(lambda: _works_in_a_box(process.pid), 120)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None and any(
            "Ctrl-C again" in line for line in process.stderr
        )
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (
        process.returncode == 130
        and "before there was a run" in told
        and "resume" not in told
    )
    assert not list((tmp_path / "runs").glob("*/run.toml"))


def test_ctrl_c_in_the_middle_of_an_import_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    )
    done = evolve_process("tree", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert (done.code, done.out, done.err) == (130, "", "")


def test_a_run_that_failed_says_why(tmp_path: Path, steps_task: Path) -> None:
    assert (
        evolve(
            "run",
            steps_task,
            "--name",
            "r",
            "--max-variants",
            1,
            "--sandbox",
            "local",
            cwd=tmp_path,
        ).code
        == 0
    )
    done = evolve(
        "resume",
        "r",
        "--model",
        "vllm:/nosuch",
        "--max-variants",
        2,
        cwd=tmp_path,
        env=MISSING,
    )
    assert done.code == 3
    said = done.err.split("error: ")[1].splitlines()[0]
    found = evolve("status", "r", "--json", cwd=tmp_path).json()
    assert (found["state"], found["stopped"]) == ("failed", said)
    shown = evolve("status", "r", cwd=tmp_path).out.splitlines()
    assert (
        shown[0] == f"r on steps: failed: {said}"
        and shown[-1] == "go on: evolve resume r"
    )


def test_the_way_on_names_the_limit_that_stopped_it(
    tmp_path: Path, steps_task: Path
) -> None:
    done = evolve(
        "run",
        steps_task,
        "--name",
        "r",
        "--max-variants",
        1,
        "--sandbox",
        "local",
        cwd=tmp_path,
    )
    assert done.err.rstrip().endswith("go on: evolve resume r --max-variants +100")
    assert (
        evolve("status", "r", cwd=tmp_path)
        .out.rstrip()
        .endswith("resume r --max-variants +100")
    )
    more = evolve("resume", "r", "--max-variants", 50, "--target", -1000, cwd=tmp_path)
    assert more.err.rstrip().endswith("go on: evolve resume r --target SCORE")
    more = evolve("resume", "r", "--target", 1e6, "--max-time", "0.001s", cwd=tmp_path)
    assert more.err.rstrip().endswith("go on: evolve resume r"), more.err

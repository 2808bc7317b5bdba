"""The user's path through the real command line, in a real sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli import EVOLVE, evolve

SANDBOXES = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_run_tree_show_diff_best(tmp_path: Path, tasks: Path, sandbox: str) -> None:
    done = evolve(
        "run",
        tasks / "circle_packing",
        "--sandbox",
        sandbox,
        "--max-variants",
        15,
        "--name",
        "first",
        "--json",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    events = done.events()
    assert events[0]["event"] == "launch" and 0.9 <= events[0]["best"]["score"] <= 1.1
    variants = [
        e for e in events if e["event"] == "variant" and e["status"] != "rejected"
    ]
    assert len(variants) == events[-1]["variants"] == 15
    assert all((e["score"] is None) == (e["status"] == "failed") for e in variants)
    rejected = [
        e for e in events if e["event"] == "variant" and e["status"] == "rejected"
    ]
    assert all(e["id"] is None and e["proposal"] for e in rejected)

    tree = evolve("tree", "--json", cwd=tmp_path).json()
    assert {v["id"] for v in tree} >= {e["id"] for e in variants}
    best = max(
        (v for v in tree if v["score"] is not None),
        key=lambda v: (v["score"], -v["number"]),
    )
    assert events[-1]["best"] == {"id": best["id"], "score": best["score"]}

    shown = evolve("show", best["id"][:10], "--json", cwd=tmp_path).json()
    assert shown["evaluations"][0]["score"] == best["score"]
    assert evolve("best", "-o", "out", cwd=tmp_path).code == 0
    again = evolve(
        "eval",
        tmp_path / "runs/first/task",
        "out",
        "--sandbox",
        sandbox,
        "--json",
        cwd=tmp_path,
    )
    assert again.json()["score"] == best["score"]
    listed = evolve("ls", "--json", cwd=tmp_path).json()
    assert [(row["run"], row["best"]) for row in listed] == [("first", best["score"])]
    for verb in (["tree"], ["show"], ["ls"], ["best"]):
        assert evolve(*verb, cwd=tmp_path).code == 0
    patch = evolve("diff", best["id"], "seed", cwd=tmp_path).out
    assert ("--- a/packing.py" in patch) == (best["number"] > 0)


def test_the_same_seed_makes_the_same_run(tmp_path: Path, tasks: Path) -> None:
    trees = []
    for name in ("a", "b"):
        done = evolve(
            "run",
            tasks / "cap_set",
            "--workers",
            1,
            "--max-variants",
            15,
            "--seed",
            3,
            "--name",
            name,
            cwd=tmp_path,
            env={"EVOLVE_OPERATORS": "{syntactic = 1.0}"},
        )
        assert done.code == 0, done.err
        trees.append(evolve("tree", name, "--json", cwd=tmp_path).json())
    assert [v["id"] for v in trees[0]] == [v["id"] for v in trees[1]]


def test_interrupt_drains_and_resume_goes_on(tmp_path: Path, steps_task: Path) -> None:
    command = [
        EVOLVE,
        "run",
        str(steps_task),
        "--max-variants",
        "30",
        "--name",
        "r",
        "--json",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for _ in range(8):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
    assert json.loads(rest.splitlines()[-1])["stopped"] == "interrupted"
    tree = evolve("tree", "--json", cwd=tmp_path).json()
    assert all(v["status"] in ("scored", "failed") for v in tree)
    assert 7 <= len(tree) - 1 < 30
    done = evolve("resume", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.events()[-1]["variants"] == 30


def test_two_engines_on_one_run_are_refused_and_two_runs_are_not(
    tmp_path: Path, steps_task: Path
) -> None:
    command = [
        EVOLVE,
        "run",
        str(steps_task),
        "--max-variants",
        "5000",
        "--name",
        "r",
        "--json",
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        second = evolve("resume", "r", cwd=tmp_path)
        assert second.code == 2
        assert f"process {process.pid}" in second.err and "Traceback" not in second.err
        assert "or: evolve stop r" in second.err
        gone = evolve("rm", "r", cwd=tmp_path)
        assert (
            gone.code == 2
            and f"process {process.pid}" in gone.err
            and "[y/N]" not in gone.err
        )
        other = evolve(
            "run", steps_task, "--max-variants", 3, "--name", "other", cwd=tmp_path
        )
        assert other.code == 0, other.err
        assert process.poll() is None, (
            "the first run must still be at work for this to mean anything"
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.mark.docker
def test_first_scored_variants_come_soon(tmp_path: Path, tasks: Path) -> None:
    """From nothing: the root file system and the image are built in this time, too."""
    started = time.monotonic()
    done = evolve(
        "run",
        tasks / "cap_set",
        "--max-variants",
        3,
        cwd=tmp_path,
        env={"EVOLVE_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.code == 0, done.err
    assert time.monotonic() - started < 60


def test_init_writes_a_task_that_runs(tmp_path: Path) -> None:
    assert evolve("init", "mine", cwd=tmp_path).code == 0
    scored = evolve("eval", "mine", "--sandbox", "local", "--json", cwd=tmp_path)
    assert scored.code == 0, scored.err
    assert scored.json()["score"] < 0
    done = evolve(
        "run", "mine", "--sandbox", "local", "--max-variants", 4, cwd=tmp_path
    )
    assert done.code == 0, done.err
    assert evolve("init", "mine", cwd=tmp_path).code == 2


def test_init_names_a_folder_as_a_shell_takes_it(tmp_path: Path) -> None:
    done = evolve("init", "my task!", cwd=tmp_path)
    assert (
        done.out.splitlines()[-1]
        == "next: evolve eval 'my task!' · evolve run 'my task!'"
    )


def test_a_run_can_be_moved(tmp_path: Path, tasks: Path) -> None:
    task = shutil.copytree(tasks / "cap_set", tmp_path / "task")
    done = evolve(
        "run",
        task,
        "--sandbox",
        "local",
        "--max-variants",
        3,
        "--name",
        "r",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    shutil.rmtree(task)
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "runs" / "r", tmp_path / "elsewhere" / "moved")
    done = evolve(
        "resume",
        tmp_path / "elsewhere" / "moved",
        "--max-variants",
        5,
        "--json",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    assert done.events()[-1]["variants"] == 5


def test_local_must_be_typed_and_says_so(tmp_path: Path, tasks: Path) -> None:
    done = evolve("eval", tasks / "cap_set", "--sandbox", "local", cwd=tmp_path)
    assert done.code == 0 and "isolates NOTHING" in done.err


@pytest.mark.docker
def test_the_live_view_in_a_terminal(tmp_path: Path, tasks: Path) -> None:
    """A real terminal: best, rate and failures are drawn in place; the last words stay."""
    ours, theirs = pty.openpty()
    command = [EVOLVE, "run", str(tasks / "circle_packing"), "--max-variants", "24"]
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env=os.environ | {"TERM": "xterm"},
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # a terminal whose program has ended
            while piece := os.read(ours, 65536):
                shown += piece
        os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    for words in (
        "variants",
        " of 24 (",
        "in flight",
        "a minute",
        "improved",
        "stopped: max_variants",
        "gap",
    ):
        assert words in text


def test_a_run_is_seen_and_stopped_from_outside(
    tmp_path: Path, steps_task: Path
) -> None:
    command = [
        EVOLVE,
        "run",
        str(steps_task),
        "--max-variants",
        "500",
        "--name",
        "r",
        "--json",
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        seen = evolve("status", "r", "--json", cwd=tmp_path).json()
        assert seen["state"] == "running" and str(process.pid) in seen["worker"]
        assert seen["variants"] >= 3 and seen["best"] is not None
        asked = evolve("stop", "r", cwd=tmp_path)
        assert asked.code == 0 and "evolve resume r" in asked.err
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 130
    assert json.loads(rest.splitlines()[-1])["stopped"] == "interrupted"
    after = evolve("status", "r", "--json", cwd=tmp_path).json()
    assert (after["state"], after["stopped"]) == ("stopped", "interrupted")
    assert after["in_flight"] == {} and after["limits"]["max_variants"] == 500
    shown = evolve("status", cwd=tmp_path).out
    assert "go on" in shown and f"{after['variants']} of 500 (" in shown
    assert evolve("stop", "r", cwd=tmp_path).code == 2
    done = evolve(
        "resume", "r", "--max-variants", after["variants"] + 3, "--json", cwd=tmp_path
    )
    assert done.code == 0 and done.events()[-1]["variants"] == after["variants"] + 3
    done = evolve("resume", "--max-variants", "+2", "--json", cwd=tmp_path)
    assert done.code == 0 and done.events()[-1]["variants"] == after["variants"] + 5
    for flag, said in (
        ("--max-variants=many", "use --max-variants 300"),
        ("--budget=+much", "invalid amount of money"),
    ):
        refused = evolve("resume", flag, cwd=tmp_path)
        assert refused.code == 2 and said in refused.err
    for _ in range(2):  # however often it is said
        assert (
            evolve(
                "resume", "--budget", "+5usd", "--max-calls", "+7", cwd=tmp_path
            ).code
            == 0
        )
        limits = evolve("status", "--json", cwd=tmp_path).json()["limits"]
        assert (limits["budget_usd"], limits["max_calls"]) == (5.0, 7)


def test_a_run_stops_at_its_target_and_on_a_plateau(
    tmp_path: Path, steps_task: Path
) -> None:
    done = evolve(
        "run", steps_task, "--name", "t", "--target", "0.8", "--json", cwd=tmp_path
    )
    last = done.events()[-1]
    assert (
        done.code == 0
        and last["stopped"] == "target = 0.8 is reached"
        and last["variants"] < 200
    )
    assert last["best"]["score"] >= 0.8
    done = evolve(
        "run",
        steps_task,
        "--name",
        "p",
        "--plateau",
        "4",
        "--policy",
        "best_of_n",
        "--json",
        cwd=tmp_path,
    )
    assert done.code == 0 and done.events()[-1]["stopped"].startswith(
        "plateau: the last "
    )

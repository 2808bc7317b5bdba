"""Tasks as people bring them: tools, texts, limits, pools and prints."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from evolve.checking.attacks import ATTACKS
from evolve.evaluation.printed import HEAD_BYTES, TAIL_BYTES, shorten
from evolve.operators.python_source import Source, syntax_error
from evolve.runs.machine_limits import fitted
from evolve.tasks import load_task
from evolve.tasks.spec import LimitsSpec
from tests.cli import evolve

BOX = ("--sandbox", "bubblewrap")
PROGRAM = "def f():\n    return 7.0\n"
SCORER = "def evaluate(candidate, case):\n    return candidate.call('f')\n"
TOML = 'name = "t"\ndescription = "t"\nentry = "main.py"\n'


def write(
    folder: Path, toml: str = TOML, scorer: str = SCORER, program: str = PROGRAM
) -> Path:
    (folder / "initial").mkdir(parents=True)
    (folder / "task.toml").write_text(toml)
    (folder / "evaluate.py").write_text(scorer)
    (folder / "initial" / "main.py").write_text(program)
    return folder


JAVA = """public class Main {
    public static void main(String[] a) { System.out.println(6 * 7); }
}
"""
RUST = 'fn main() { println!("{}", 6 * 7); }\n'
RUNS = """def evaluate(candidate, case):
    built = candidate.run({build})
    if built.exit:
        candidate.fail(built.stderr.decode()[-500:])
    return float(candidate.run({start}).stdout)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "tools", "build", "start"),
    [
        (
            "Main.java",
            JAVA,
            ["java", "javac"],
            ["javac", "Main.java"],
            ["java", "Main"],
        ),
        ("main.rs", RUST, ["rustc"], ["rustc", "-O", "main.rs"], ["./main"]),
        (
            "main.cpp",
            '#include <cstdio>\nint main() { std::printf("42\\n"); }\n',
            ["g++"],
            ["g++", "-o", "main", "main.cpp"],
            ["./main"],
        ),
    ],
)
def test_compilers_come_with_all_that_they_need(
    tmp_path: Path,
    name: str,
    text: str,
    tools: list[str],
    build: list[str],
    start: list[str],
) -> None:
    """javac is a link of update-alternatives, rustc may be rustup's."""
    if shutil.which(tools[0]) is None and not os.environ.get("CI"):
        pytest.skip(f"{tools[0]} is not installed: tests/setup-languages")
    task = tmp_path / "task"
    (task / "initial").mkdir(parents=True)
    (task / "initial" / name).write_text(text)
    (task / "evaluate.py").write_text(RUNS.format(build=build, start=start))
    toml = TOML.replace("main.py", name).replace(
        '"t"\nentry', '"t"\nlanguage = "x"\nentry'
    )
    (task / "task.toml").write_text(
        f"{toml}[limits]\nmemory_mb = 2048\n[environment]\ntools = {tools}\n"
    )
    done = evolve("eval", task, *BOX, "--json")
    assert done.code == 0 and done.json()["score"] == 42.0, done


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_is_read_as_python_reads_it(tmp_path: Path, end: str) -> None:
    program = "\ufeffx = 1.5\n\n\ndef f():\n    return 3.0 * x\n".replace("\n", end)
    task = write(tmp_path / "task", program="")
    (task / "initial" / "main.py").write_bytes(program.encode())
    (task / "task.toml").write_bytes(b"\xef\xbb\xbf" + TOML.encode())
    made = ("--max-variants", "6", "--name", "r", "--runs-dir", tmp_path)
    done = evolve("run", task, *BOX, *made)
    assert done.code == 0 and "6 variants" in done.err, done.err
    written = evolve("best", "r", "--runs-dir", tmp_path, "-o", tmp_path / "best")
    assert written.code == 0, written.err
    best = (tmp_path / "best" / "main.py").read_bytes()
    assert best.startswith(b"\xef\xbb\xbf") and end.encode() in best


def test_positions_after_a_byte_order_mark_are_right() -> None:
    for mark in ("", "\ufeff"):
        source = Source(f"{mark}x = 10\r\ny = 20\r\n")
        assert [source.code(node) for node in source.nodes if node.lineno][:2] == [
            "x = 10",
            "y = 20",
        ]
    assert syntax_error("\ufeffx = 1\n") is None
    assert syntax_error("\ufeffx = \n") is not None


def test_other_encodings_are_named(tmp_path: Path) -> None:
    task = write(tmp_path / "task")
    (task / "initial" / "main.py").write_bytes("# h\u00f6he\n".encode("latin-1"))
    done = evolve("eval", task, *BOX)
    assert done.code == 2 and "is not UTF-8 text" in done.err
    assert "save it as UTF-8" in done.err and "leave it out" not in done.err


def test_limits_beyond_the_machine_are_lowered() -> None:
    asked = LimitsSpec(
        cpus=64, memory_mb=99999999999999, processes=5000000, disk_mb=99999999999999
    )
    lowered, notes = fitted(asked)
    assert len(notes) == 4 and all("is lowered to" in note for note in notes)
    assert lowered.processes == 4096 and lowered.memory_mb < 10_000_000
    assert fitted(LimitsSpec()) == (LimitsSpec(), [])


def test_a_date_among_the_parameters_is_one_clear_line(tmp_path: Path) -> None:
    toml = TOML + '[[cases]]\nid = "a"\n[cases.params]\nday = 2026-01-31\n'
    done = evolve("eval", write(tmp_path / "task", toml), *BOX)
    said = " ".join(done.err.split())
    assert done.code == 2 and "params.day holds a value of type datetime.date" in said
    assert 'write it as text, such as "2026-01-31"' in said


def test_text_is_accepted_as_standard_input(tmp_path: Path) -> None:
    scorer = """def evaluate(candidate, case):
    said = candidate.run(["python3", "-c", "print(input() * 2)"], stdin="a\\u00e9\\n")
    assert said.stdout.decode() == "a\\u00e9a\\u00e9\\n", said
    return 1
"""
    done = evolve("eval", write(tmp_path / "task", scorer=scorer), *BOX)
    assert done.code == 0, done


def test_what_a_scorer_prints_is_bounded(tmp_path: Path) -> None:
    scorer = SCORER.replace(
        "    return",
        "    print('first line')\n"
        "    for _ in range(60): print('x' * 1_000_000)\n"
        "    print('last line')\n    return",
    )
    task = write(tmp_path / "task", scorer=scorer)
    made = ("--max-variants", "2", "--name", "r", "--runs-dir", tmp_path)
    assert evolve("run", task, *BOX, *made).code == 0
    log = tmp_path / "r" / "logs" / "scorer.log"
    assert log.stat().st_size < 4 * (HEAD_BYTES + TAIL_BYTES)


def test_a_shortened_log_keeps_head_and_tail(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"first\n" + b"x" * (5 * HEAD_BYTES) + b"\nlast\n")
        shorten(log)
        writer.write(b"later\n")
    text = log.read_bytes()
    assert text.startswith(b"first\n") and text.endswith(b"last\nlater\n")
    assert b"bytes are left out]" in text
    assert len(text) < HEAD_BYTES + TAIL_BYTES + 100


SPAWNS = """import importlib.util
import multiprocessing

def square(x):
    return x * x

def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("cand", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return {"combined_score": float(sum(pool.map(square, [module.f(), 2.0])))}
"""


def test_a_spawn_pool_of_an_evaluator_runs(tmp_path: Path) -> None:
    (tmp_path / "evaluator.py").write_text(SPAWNS)
    (tmp_path / "initial_program.py").write_text(PROGRAM)
    done = evolve("eval", tmp_path, *BOX)
    assert done.code == 0 and "score 53.0" in done.out, done
    assert "evaluator shared with candidate" in done.err


TOLERATES = """import random

def evaluate(candidate, case):
    rng = random.Random(case.seed)
    for _ in range(2):
        xs = [rng.random() for _ in range(500)]
        want = [x / 500 for x in xs]
        got = candidate.call("scale", xs)
        if len(got) != 500 or any(abs(a - b) > 0.01 for a, b in zip(got, want)):
            candidate.fail("wrong")
    return {score}
"""
SCALES = """import time

def scale(xs):
    time.sleep(0.02)
    return [x / len(xs) for x in xs]
"""


@pytest.mark.slow
def test_a_tolerance_that_takes_zeros_is_named(tmp_path: Path) -> None:
    by_time = write(
        tmp_path / "task",
        scorer=TOLERATES.replace(
            "{score}", "{'score': 1 / (candidate.seconds + 1e-4)}"
        ),
        program=SCALES,
    )
    done = evolve("check", by_time, *BOX, "--json")
    paying = {
        row["attack"]: row for row in done.json()["attacks"] if row["result"] == "PAYS"
    }
    assert "zeros" in paying and "the input itself" not in paying, paying
    assert "evaluate.py:9: " in paying["zeros"]["said"]
    assert "relative to its size" in paying["zeros"]["fix"]
    assert {"only ones", "the answer before"} <= {attack.name for attack in ATTACKS}


@pytest.mark.slow
def test_a_better_answer_of_zeros_is_no_cheat(tmp_path: Path) -> None:
    scorer = """def evaluate(candidate, case):
    return -sum(abs(x) for x in candidate.call("f"))
"""
    task = write(
        tmp_path / "task", scorer=scorer, program="def f():\n    return [1.5, 2.5]\n"
    )
    done = evolve("check", task, *BOX, "--json")
    rows = {row["attack"]: row for row in done.json()["attacks"]}
    assert rows["zeros"]["result"] == "accepted", rows["zeros"]
    assert "such answers are better than the seed's" in rows["zeros"]["said"]


SLEEPS = """import importlib.util, time

def load(path):
    spec = importlib.util.spec_from_file_location("cand", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

def evaluate_stage1(program_path):
    load(program_path).work(0.6)
    return {"combined_score": 1.0}

def evaluate_stage2(program_path):
    return evaluate(program_path)

def evaluate(program_path):
    module = load(program_path)
    time.sleep(1.5)  # the evaluator's own time is not the program's
    for _ in range(CALLS):
        module.work(0.4)
    return {"combined_score": 2.0}
"""
WORKS = "import time\n\ndef work(seconds):\n    time.sleep(seconds)\n    return 1\n"


@pytest.mark.parametrize("clock", ["", "started = time.perf_counter()\n"])
def test_a_time_limit_is_for_the_sum_of_a_stage(tmp_path: Path, clock: str) -> None:
    (tmp_path / "config.yaml").write_text("evaluator:\n  timeout: 1.0\n")
    (tmp_path / "initial_program.py").write_text(WORKS)
    for calls, code in ((1, 0), (4, 1)):
        (tmp_path / "evaluator.py").write_text(
            SLEEPS.replace("CALLS", str(calls)).replace(
                "\ndef load", f"{clock}\ndef load", 1
            )
        )
        done = evolve("eval", tmp_path, *BOX)
        assert done.code == code, done
    said = " ".join(done.out.split())
    assert "the program took more than 1 s in one evaluation" in said
    assert "the limit of evaluator.timeout in config.yaml" in said


@pytest.mark.parametrize(
    ("goals", "terms"),
    [
        ("(3, -2.5)", "0.5 * goal1 + 0.5 * goal2"),
        ("{'a': 1, 'b': 2}", "0.5 * a + 0.5 * b"),
    ],
)
def test_several_goals_are_to_be_weighed(
    tmp_path: Path, goals: str, terms: str
) -> None:
    (tmp_path / "evaluator.py").write_text(
        f"def evaluate(program_path):\n    return {{'combined_score': {goals}}}\n"
    )
    (tmp_path / "initial_program.py").write_text(PROGRAM)
    done = evolve("eval", tmp_path, *BOX)
    assert done.code == 1 and terms in " ".join(done.out.split()), done
    scorer = f"def evaluate(candidate, case):\n    return {{'score': {goals}}}\n"
    native = write(tmp_path / "t", scorer=scorer)
    done = evolve("eval", native, *BOX)
    assert done.code == 1 and terms in " ".join(done.out.split()), done


MANY = """import os

def f():
    modes = [os.access(name, os.X_OK) for name in ("run.sh", "tool", "plain.txt")]
    assert modes == [True, True, False], modes
    return len(os.listdir("many")) + 0.5
"""


def of_all_kinds(task: Path, many: int) -> dict[str, bytes]:
    """Give a seed files of all kinds."""
    files = {
        "data16.txt": "h\u00f6he\r\nx".encode("utf-16"),
        "tabs.txt": b"\ttab\r\nno newline at the end",
        "large.txt": b"a" * 5_000_000,
        "run.sh": b"#!/bin/sh\nexit 0\n",
        "tool": Path("/bin/true").read_bytes(),
        "plain.txt": b"no program\n",
        **{f"many/m{n}.py": f"x = {n}.5\n".encode() for n in range(many)},
    }
    for name, content in files.items():
        path = task / "initial" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    for name in ("run.sh", "tool", "plain.txt"):
        (task / "initial" / name).chmod(0o755)
    return files


@pytest.mark.slow
def test_files_of_all_kinds_are_kept(tmp_path: Path) -> None:
    toml = f'{TOML}editable = ["main.py", "many/*.py"]\n'
    task = write(tmp_path / "task", toml, program=MANY)
    files = of_all_kinds(task, 3000)
    made = ("--max-variants", 6, "--name", "r", "--runs-dir", tmp_path)
    done = evolve("run", task, *BOX, *made)
    assert done.code == 0 and "6 variants (0 failed)" in done.err, done.err
    assert "initial/plain.txt: executable here, but not in the sandbox" in done.err
    runs = ("r", "--runs-dir", tmp_path)
    assert evolve("best", *runs, "-o", tmp_path / "best").code == 0
    written = {
        path.relative_to(tmp_path / "best").as_posix(): path
        for path in (tmp_path / "best").rglob("*")
        if path.is_file()
    }
    assert written.keys() == files.keys() | {"main.py"}
    changed = [name for name in files if written[name].read_bytes() != files[name]]
    assert len(changed) <= 6 and all(name.startswith("many/") for name in changed)
    modes = {name for name, path in written.items() if path.stat().st_mode & 0o111}
    assert modes == {"run.sh", "tool"}
    assert evolve("export", *runs, "--git", tmp_path / "git").code == 0
    listed = subprocess.run(
        ["git", "-C", tmp_path / "git", "ls-tree", "-r", "best"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert len(listed) == len(written)
    assert {line.split()[-1] for line in listed if line.startswith("100755")} == modes


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("main.py", "x = 1\n".encode("utf-16"), "is not UTF-8 text"),
        ("link.txt", None, "copy the file instead of linking it"),
        ("more.txt", b"a" * 9_000_000, "holds more than 8 MiB"),
    ],
)
def test_files_that_are_not_kept_are_one_line(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    task = write(tmp_path / "task")
    if content is None:
        (task / "initial" / name).symlink_to("main.py")
    else:
        (task / "initial" / name).write_bytes(content)
    done = evolve("eval", task, *BOX)
    assert done.code == 2 and says in done.err and len(done.err.splitlines()) == 2, done


def test_a_bit_that_all_files_have_means_nothing(tmp_path: Path) -> None:
    task = write(tmp_path / "task")
    (task / "initial" / "data.txt").write_text("1\n")
    for path in (task / "initial").iterdir():
        path.chmod(0o755)
    assert load_task(task).warnings == ()
    (task / "initial" / "data.txt").chmod(0o644)
    assert "main.py" in load_task(task).warnings[0]

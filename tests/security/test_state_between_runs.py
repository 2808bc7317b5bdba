"""A program that keeps something between two runs finds nothing of it in the second."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path

import pytest

from evolve.tasks import load_task
from tests.cli import evolve
from tests.conftest import ROOT
from tests.judging import verdicts

EVALUATE = """
import sys
def evaluate(candidate, case):
    built = candidate.run(["cp", "source.txt", "built.txt"])
    if built.exit:
        candidate.fail(built.stderr.decode())
    candidate.put({"given.txt": "given"})
    seen = []
    for number in range(3):
        done = candidate.run(["python3", "program.py"], stdin=b"%d" % number)
        if done.exit:
            candidate.fail(done.stderr.decode())
        seen.append(done.stdout.decode().strip())
    return {"score": float(seen.count("new")), "feedback": " ".join(seen)}
"""
HONEST = """
assert open("built.txt").read() == "source" and open("given.txt").read() == "given"
print("new")
"""
KEEPS = {
    "a file beside it": """
import os
print("known" if os.path.exists("kept") else "new")
open("kept", "w").close()
""",
    "its own text": """
print("new")
text = open("program.py").read().replace('"new"', '"known"')
open("program.py", "w").write(text)
""",
    "what was built": """
print("new" if open("built.txt").read() == "source" else "known")
open("built.txt", "w").write("changed")
""",
    "what was put in": """
print("new" if open("given.txt").read() == "given" else "known")
open("given.txt", "w").write("changed")
""",
    "a file elsewhere": """
import os
places = [p + "/kept" for p in ("/tmp", "/dev/shm", os.path.expanduser("~"))]
print("known" if any(map(os.path.exists, places)) else "new")
for place in places:
    try:
        open(place, "w").close()
    except OSError:
        pass
""",
    "a process": """
import os, socket, time
name = "\\0kept"
known = socket.socket(socket.AF_UNIX)
try:
    known.connect(name)
    print("known")
except OSError:
    print("new", flush=True)
    if os.fork() == 0:
        os.setsid()
        for n in (0, 1, 2):
            os.close(n)
        server = socket.socket(socket.AF_UNIX)
        server.bind(name)
        server.listen()
        time.sleep(60)
        os._exit(0)
    time.sleep(0.3)
""",
}


def as_script(program: str) -> str:
    """A program that does nothing when it is imported."""
    return 'if __name__ == "__main__":\n' + textwrap.indent(program, "    ")


def write_task(folder: Path, program: str) -> Path:
    """A task whose scorer builds once and runs three times."""
    (folder / "initial").mkdir(parents=True)
    (folder / "task.toml").write_text(
        'name = "runs"\ndescription = "say new"\n[limits]\ntime_s = 20\n'
        '[environment]\ntools = ["cp"]\n'
    )
    (folder / "evaluate.py").write_text(EVALUATE)
    (folder / "initial" / "program.py").write_text(as_script(program))
    (folder / "initial" / "source.txt").write_text("source")
    return folder


def scored(task: Path, programs: dict[str, str], sandbox: str) -> dict[str, float]:
    """The scores of programs in a task, one after the other, by name."""
    sources = [as_script(program).encode() for program in programs.values()]
    found = verdicts(load_task(task), sources, sandbox, task.parent / "log")
    assert all(verdict.failed is None for verdict in found), found
    return {
        name: verdict.score or 0.0
        for name, verdict in zip(programs, found, strict=True)
    }


SANDBOXES = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_nothing_is_kept_from_run_to_run(tmp_path: Path, sandbox: str) -> None:
    """What the build made and what was put in stays: the honest program asks for both."""
    task = write_task(tmp_path / "task", HONEST)
    programs = KEEPS | {"nothing": HONEST}
    assert scored(task, programs, sandbox) == dict.fromkeys(programs, 3.0)


def test_a_seed_that_writes_files_keeps_them(tmp_path: Path) -> None:
    """Its own commands change the folder: so may those of its children."""
    task = write_task(tmp_path / "task", KEEPS["a file beside it"])
    programs = {"the seed": KEEPS["a file beside it"]}
    assert scored(task, programs, "bubblewrap") == {"the seed": 1.0}


def test_steps_that_build_on_each_other_work(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", HONEST)
    (task / "evaluate.py").write_text(
        EVALUATE.replace(
            'built = candidate.run(["cp", "source.txt", "built.txt"])',
            'built = candidate.run(["cp", "source.txt", "half.txt"])\n'
            '    built = candidate.run(["cp", "half.txt", "built.txt"])',
        )
    )
    assert scored(task, {"the seed": HONEST}, "bubblewrap") == {"the seed": 3.0}


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_the_cache_of_a_compiled_program_gains_nothing(
    tmp_path: Path, sandbox: str
) -> None:
    """`nearest_c`: the answers of the first run, kept in a file, answer the others."""
    task = tmp_path / "nearest"
    shutil.copytree(ROOT / "tasks" / "nearest_c", task)
    source = (task / "initial" / "nearest.c").read_text()
    assert "int main(void) {" in source
    cached = source.replace("int main(void) {", "int real(void) {")
    (tmp_path / "nearest.c").write_text(cached + MAIN_IN_C)
    done = evolve("eval", task, tmp_path / "nearest.c", "--sandbox", sandbox, "--json")
    assert done.code == 0, done.err + done.out
    feedback = json.loads(done.out)["cases"][0]["feedback"]
    seconds = json.loads(feedback.partition("runs ")[2])
    assert min(seconds) > max(seconds) / 4, seconds


MAIN_IN_C = """
#include <unistd.h>
int main(void) {
    FILE *kept = fopen("kept", "r");
    if (kept) {
        int c;
        while ((c = fgetc(kept)) != EOF) putchar(c);
        return 0;
    }
    int out = dup(1);
    if (!freopen("kept.new", "w", stdout)) return 1;
    int status = real();
    fclose(stdout);
    rename("kept.new", "kept");
    kept = fopen("kept", "r");
    int c;
    while ((c = fgetc(kept)) != EOF) { char b = c; if (write(out, &b, 1) != 1) return 1; }
    return status;
}
"""

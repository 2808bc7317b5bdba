"""Commands of other engines' evaluators: folders, files, shells and tools cross by copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evolve.archive import Evaluation
from evolve.peers.formats import TOOL_READ
from evolve.tasks.peers.tools import tools_of
from tests.cli import evolve
from tests.judging import Judge

SANDBOXES = [
    pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow]),
    "bubblewrap",
]
Scored = Callable[..., Evaluation]

IN_A_FOLDER = """
import os, subprocess, sys, tempfile

def evaluate(program_path):
    with tempfile.TemporaryDirectory() as folder:
        def path(*parts):
            return os.path.join(folder, *parts)
        os.mkdir(path("data"))
        open(path("data", "in.txt"), "w").write("20")
        open(path("old.txt"), "w").write("old")
        os.symlink("/etc/hostname", path("link.txt"))
        def run(*more):
            return subprocess.run(
                [sys.executable, program_path, *more], cwd=folder, capture_output=True,
                text=True, timeout=20,
            )
        first = run("one", path("data", "in.txt"))
        assert first.returncode == 0, first.stderr
        open(path("data", "in.txt"), "w").write("22")
        second = run("two")
        found = {}
        for place, _, names in os.walk(folder):
            for name in names:
                full = os.path.join(place, name)
                kind = "link" if os.path.islink(full) else open(full).read()[:40]
                found[os.path.relpath(full, folder)] = kind
    return {"combined_score": 1.0, "found": str(sorted(found.items())),
            "said": first.stdout.strip() + "|" + second.stdout.strip()}
"""
WRITES = """
import os, sys
if sys.argv[1] == "one":
    number = open(sys.argv[2]).read()
    os.makedirs("made/deep")
    open("made/deep/out.txt", "w").write(number)
    open("old.txt", "w").write("new")
    os.symlink("/etc/passwd", "stolen.txt")
    for name in ("evil.py", "evil.pth", "evil.so", "x.pyc"):
        open(name, "w").write("evil")
    try:
        os.remove("link.txt")
    except OSError:
        pass
    open("link.txt", "w").write("over a file that was not given")
print(open("data/in.txt").read(), open("old.txt").read())
"""


@pytest.fixture(scope="module", params=SANDBOXES)
def scored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scored]:
    place = tmp_path_factory.mktemp("commands")
    with Judge(request.param, place / "log") as judge:

        def score(
            evaluator: str, program: str, variant: str | None = None
        ) -> Evaluation:
            folder = place / f"task{len(list(place.iterdir()))}"
            folder.mkdir()
            (folder / "evaluator.py").write_text(evaluator)
            (folder / "initial_program.py").write_text(program)
            row = judge(folder)
            return row if variant is None else judge(folder, variant)

        yield score


def test_regular_files_go_in_and_come_back(scored: Scored) -> None:
    row = scored(IN_A_FOLDER, WRITES)
    assert row.score == 1.0, row
    assert row.metrics["said"] == "20 new|22 new"
    assert row.metrics["found"] == str(
        [
            ("data/in.txt", "22"),
            ("link.txt", "link"),
            ("made/deep/out.txt", "20"),
            ("old.txt", "new"),
        ]
    )


@pytest.mark.parametrize(
    "fills",
    [
        "for k in range(1100): open(f'{k}.txt', 'w').write('x')",
        "for k in range(3): open(f'{k}.bin', 'wb').write(bytes(7 << 20))",
    ],
)
def test_too_many_files_are_never_a_score(scored: Scored, fills: str) -> None:
    program = f"print('20 old')\nif __import__('sys').argv[1] == 'one':\n    {fills}\n"
    row = scored(IN_A_FOLDER, WRITES, program)
    assert row.score is None and row.reason in ("inseparable", "disk"), row.message
    assert row.reason == "disk" or "more than 1000 files or 16 MB" in row.message


FORGED = """
import sys
from evolve_inside import evolve_remote as remote
remote.collect = lambda folder, known: {
    "../../escaped.txt": [b"x", False], "/tmp/escaped.txt": [b"x", False],
    "a/../../escaped.txt": [b"x", False], "link.txt": [b"x", False],
}
"""
TWO_WAYS = (
    IN_A_FOLDER.replace("def evaluate(program_path):", "def _evaluate(program_path):")
    + """
import importlib.util

def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("cand", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ready
    found = _evaluate(program_path)
    folder = tempfile.gettempdir()
    escaped = [p for p in (folder, os.path.dirname(folder), "/tmp")
               if os.path.exists(os.path.join(p, "escaped.txt"))]
    return found | {"escaped": str(escaped)}
"""
)


def test_forged_paths_stay_out(scored: Scored) -> None:
    row = scored(
        TWO_WAYS, f"ready = 1\nif __name__ != '__main__':\n    {'exec('!s}{FORGED!r})\n"
    )
    assert row.score == 1.0, row
    assert row.metrics["escaped"] == "[]"
    assert row.metrics["found"] == str(
        [("data/in.txt", "22"), ("link.txt", "link"), ("old.txt", "old")]
    )


SHELL = """
import os, subprocess, sys, tempfile

def evaluate(program_path):
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "out.txt")
        subprocess.run(
            f"{sys.executable} {program_path} 4 2>/dev/null | tail -n 1 > {target}",
            shell=True, timeout=20,
        )
        return {"combined_score": float(open(target).read())}
"""


def test_a_shell_runs_with_its_tools(scored: Scored) -> None:
    row = scored(SHELL, "import sys\nprint('first')\nprint(float(sys.argv[1]) * 2.5)\n")
    assert row.score == 10.0, row


COMPILES = """
import importlib.util, os, subprocess, tempfile

def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("cand", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    version = subprocess.run(["gcc", "--version"], capture_output=True, text=True).stdout
    text = module.source()
    with tempfile.TemporaryDirectory() as folder:
        source, binary = os.path.join(folder, "a.c"), os.path.join(folder, "a.out")
        open(source, "w").write(text)
        built = subprocess.run(["gcc", "-O1", "-o", binary, source], capture_output=True, text=True)
        if built.returncode:
            return {"combined_score": 0.0, "error": built.stderr[:200]}
        done = subprocess.run([binary, "7"], input="5", capture_output=True, text=True, cwd=folder)
        assert "gcc" in version
        return {"combined_score": float(done.stdout)}
"""
C = (
    "def source():\n    return '''#include <stdio.h>\n#include <stdlib.h>\n"
    'int main(int n, char **a) { int x; scanf("%d", &x); '
    "printf(\"%d\", x * atoi(a[1])); }\n'''\n"
)


def test_a_tool_of_the_evaluator_has_a_box_of_its_own(scored: Scored) -> None:
    row = scored(COMPILES, C)
    assert row.score == 35.0, row
    assert row.metrics[TOOL_READ] == "gcc"
    wrong = scored(COMPILES, "def source():\n    return 'int main( {'\n")
    assert wrong.score == 0.0 and "error" in wrong.metrics["error"]


def test_only_good_programs_reach_a_tool(scored: Scored) -> None:
    """The box of a tool is there before the first program that needs it."""
    evaluator = """
import importlib.util, subprocess

def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("cand", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    value = module.guess()
    if value > 26:
        out = subprocess.run(["gcc", "--version"], capture_output=True, text=True)
        return {"combined_score": value + ("gcc" in out.stdout)}
    return {"combined_score": value}
"""
    assert scored(evaluator, "def guess():\n    return 25.0\n").score == 25.0
    good = scored(evaluator, "def guess():\n    return 27.0\n")
    assert good.score == 28.0 and good.metrics[TOOL_READ] == "gcc", good


def test_without_a_sandbox_a_tool_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evaluator.py").write_text(COMPILES)
    (tmp_path / "initial_program.py").write_text(C)
    done = evolve("eval", tmp_path, "--sandbox", "local")
    assert done.code == 1
    assert "the evaluator starts gcc, which needs a sandbox that isolates" in done.out


def test_an_error_of_an_evaluator_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "evaluator.py").write_text(
        "async def evaluate(program_path):\n    return {}\n"
    )
    (tmp_path / "initial_program.py").write_text("x = 1\n")
    box = ("--sandbox", "bubblewrap")
    done = evolve("eval", tmp_path, *box)
    assert done.code == 1 and "Traceback" not in done.out + done.err
    assert "evaluate is asynchronous" in done.out
    (tmp_path / "evaluator.py").write_text(
        "def evaluate(program_path):\n    return {'combined_score': 1 / 0}\n"
    )
    done = evolve("eval", tmp_path, *box)
    assert f"{tmp_path}/evaluator.py:2: ZeroDivisionError" in done.out.replace("\n", "")
    assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("subprocess.run(['gcc', '-v'])", ("gcc",)),
        ("cmd = ['/usr/bin/tail', '-n1']", ("tail",)),
        (
            "subprocess.run(f'{x} 2>&1 | head -1 && sort', shell=True)",
            ("head", "sh", "sort"),
        ),
        ("os.system('ls; cat x')", ("cat", "ls", "sh")),
        ("subprocess.run([sys.executable, 'x'])", ()),
        ("subprocess.run(['no-such-command-here'])", ()),
        ("names = ['a b', 'python3', 'which']", ()),
    ],
)
def test_tools_are_found_in_the_evaluators_text(
    line: str, found: tuple[str, ...]
) -> None:
    assert tools_of(f"import os, subprocess, sys\n{line}\n") == found

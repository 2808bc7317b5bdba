"""Forgeries of the report of a program's own tests: all refused, while an exit code of 0 believes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.judging import Judge

TESTS = {
    "tests/conftest.py": "import pytest\n\n@pytest.fixture\ndef two():\n    return 2\n",
    "tests/test_more.py": "import lib.more\n\n\ndef test_more():\n    assert lib.more.ONE == 1\n",
    "tests/test_work.py": """\
import unittest
import pytest
from lib.work import double


@pytest.mark.parametrize("x", [1, 5])
def test_double(x, two):
    assert double(x) == two * x


class TestOld(unittest.TestCase):
    def test_zero(self):
        self.assertEqual(double(0), 0)
        self.assertEqual(double(-1), -2)


@pytest.mark.skip
def test_skipped():
    assert False


@pytest.mark.xfail
def test_not_yet():
    assert double("a") == 2
""",
}
PASSED = [
    "tests/test_more.py::test_more",
    "tests/test_work.py::TestOld::test_zero",
    "tests/test_work.py::test_double[1]",
    "tests/test_work.py::test_double[5]",
]
HONEST = "def double(x):\n    return x + x\n"
WRONG = "def double(x):\n    return 7\n"
# each a wrong program that says otherwise
FORGERIES = {
    "exit": {"lib/work.py": WRONG + "import os\nos._exit(0)\n"},
    "exit at the end": {
        "lib/work.py": WRONG + "import atexit, os\natexit.register(os._exit, 0)\n"
    },
    "patched hooks": {
        "lib/work.py": WRONG
        + "import _pytest.python, _pytest.unittest\n"
        + "_pytest.python.Function.runtest = lambda self: None\n"
        + "_pytest.unittest.TestCaseFunction.runtest = lambda self: None\n"
    },
    "patched code": {
        "lib/work.py": WRONG
        + "import _pytest.python, _pytest.unittest\n"
        + "def runtest(self): None\n"
        + "for k in (_pytest.python.Function, _pytest.unittest.TestCaseFunction):\n"
        + "    k.runtest.__code__ = runtest.__code__\n"
    },
    "a plugin": {
        "lib/work.py": WRONG
        + "import gc, pytest\n"
        + "class Plugin:\n"
        + "    @pytest.hookimpl(tryfirst=True)\n"
        + "    def pytest_runtest_makereport(self, item, call):\n"
        + "        return pytest.TestReport(item.nodeid, item.location, {}, 'passed', None, call.when)\n"
        + "for o in gc.get_objects():\n"
        + "    if type(o).__name__ == 'PytestPluginManager':\n"
        + "        o.register(Plugin())\n"
    },
    "forged JUnit": {
        "lib/work.py": WRONG
        + "import os, pathlib\n"
        + "cases = ''.join(f'<testcase name=\"{n}\"/>' for n in ('test_double[1]', 'test_double[5]'))\n"
        + "pathlib.Path('junit.xml').write_text(f'<testsuite failures=\"0\">{cases}</testsuite>')\n"
        + "for fd in range(3, 20):\n"
        + "    try:\n"
        + '        os.write(fd, b\'["00", "passed", "tests/test_work.py::test_double[1]"]\\n\')\n'
        + "    except OSError:\n"
        + "        print(fd)\n"
        + "os._exit(0)\n"
    },
    "skip": {
        "lib/work.py": WRONG
        + "import pytest\npytest.skip('not here', allow_module_level=True)\n"
    },
    "deselect": {
        "lib/work.py": WRONG,
        "pytest.ini": "[pytest]\naddopts = --deselect tests/test_work.py\n",
    },
    "conftest": {
        "lib/work.py": WRONG,
        "conftest.py": "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"
        "def pytest_collection_modifyitems(items):\n"
        "    items[:] = [i for i in items if 'TestOld' not in i.nodeid]\n",
    },
    "tests rewritten": {
        "lib/more.py": "ONE = 1\nimport pathlib\n"
        "path = pathlib.Path('tests/test_work.py')\n"
        "path.unlink()\n"
        "path.write_text('def test_double():\\n    pass\\n')\n",
        "lib/work.py": WRONG,
    },
}
REFUSED = {
    "exit": "4 of 4 tests have not passed: tests/test_more.py::test_more (missing)",
    "exit at the end": "3 of 4 tests have not passed",
    "patched hooks": "the tests do not count: runtest was replaced",
    "patched code": "the tests do not count: runtest was replaced",
    "a plugin": "the tests do not count: a plugin that is not among the tests: Plugin",
    "forged JUnit": "the tests do not count: a line of the report is forged",
    "skip": "(missing)",
    "deselect": "3 of 4 tests have not passed",
    "conftest": "a plugin that is not among the tests",
    "tests rewritten": "test_work.py is not as the scorer sent it",
}
EVALUATE = """
def evaluate(candidate, case):
    tests, passed = {tests!r}, {passed!r}
    if case.params["naive"]:
        candidate.put(tests)
        done = candidate.run(["python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", "tests"])
        return {{"score": float(done.exit == 0), "feedback": done.stdout.decode()[-2000:]}}
    if case.params["first"]:
        assert candidate.pytest(["tests"], tests) == passed
    candidate.pytest(["tests"], tests, passed)
    return 1.0
"""
TOML = """
name = "guarded"
description = "Double a number."
entry = "lib/__init__.py"
editable = ["lib/*.py", "*.py", "*.ini"]
[limits]
time_s = 30
memory_mb = 512
[environment]
packages = ["pytest==9.2.0"]
[[cases]]
id = "main"
params = {{ naive = {naive}, first = {first} }}
"""


def _task(folder: Path, files: dict[str, str], naive: bool, first: bool) -> Path:
    seed = {"lib/__init__.py": "", "lib/more.py": "ONE = 1\n", "lib/work.py": HONEST}
    for path, text in (seed | files).items():
        (folder / "initial" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "initial" / path).write_text(text)
    (folder / "evaluate.py").write_text(EVALUATE.format(tests=TESTS, passed=PASSED))
    values = {"naive": str(naive).lower(), "first": str(first).lower()}
    (folder / "task.toml").write_text(TOML.format(**values))
    return folder


@pytest.fixture(
    scope="module",
    params=[pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"],
)
def judge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Judge]:
    log = tmp_path_factory.mktemp("judge") / "log"
    with Judge(request.param, log) as found:
        yield found


def test_an_honest_program_passes(judge: Judge, tmp_path: Path) -> None:
    row = judge(_task(tmp_path / "task", {}, naive=False, first=True))
    assert row.score == 1.0, (row.message, row.log)


def test_a_wrong_program_is_told_which_tests_fail(judge: Judge, tmp_path: Path) -> None:
    wrong = {"lib/work.py": WRONG}
    row = judge(_task(tmp_path / "task", wrong, naive=False, first=False))
    assert row.reason == "invalid"
    assert row.message == (
        "3 of 4 tests have not passed: tests/test_work.py::TestOld::test_zero (failed), "
        "tests/test_work.py::test_double[1] (failed), tests/test_work.py::test_double[5] (failed)"
    )
    assert "assert 7 == (2 * 1)" in row.log


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused(judge: Judge, tmp_path: Path, name: str) -> None:
    row = judge(_task(tmp_path / "task", FORGERIES[name], naive=False, first=False))
    assert row.reason == "invalid", (row.message, row.log)
    assert REFUSED[name] in row.message


@pytest.mark.parametrize("name", FORGERIES)
def test_an_exit_code_believes_it(judge: Judge, tmp_path: Path, name: str) -> None:
    row = judge(_task(tmp_path / "task", FORGERIES[name], naive=True, first=False))
    assert row.score == 1.0, (row.message, row.log)

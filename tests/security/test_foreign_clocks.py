"""Ways to look faster to another engine's evaluator that measures time itself: none gains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.archive import Evaluation
from tests.judging import Judge

pytestmark = pytest.mark.alone
SANDBOXES = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
CALLS = 8
HONEST = """
def slow(n):
    total = 0
    for i in range(60_000):
        total += (n + i * i) % 7
    return total


def work(n):
    return [slow(n)]
"""
EVALUATOR = f"""
import importlib.util, time
from time import perf_counter

{HONEST.partition("def work")[0].replace("slow", "reference")}

def evaluate(path):
    spec = importlib.util.spec_from_file_location("program", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    found = {{"cpu": [], "wall": []}}
    for n in range({CALLS}):
        begun = time.process_time(), perf_counter()
        expected = [reference(n + k) for k in range(4)][0]
        theirs = time.process_time() - begun[0], perf_counter() - begun[1]
        begun = time.process_time(), perf_counter()
        answer = program.work(n)
        ours = time.process_time() - begun[0], perf_counter() - begun[1]
        found_answer = answer.later if hasattr(answer, "later") else answer[0]
        if found_answer != expected:
            return {{"combined_score": 0.0}}
        for key, base, taken in zip(found, theirs, ours):
            found[key].append((base / 4, taken))
    sums = {{
        key: sum(base for base, _ in pairs) / sum(taken for _, taken in pairs)
        for key, pairs in found.items()
    }}
    return {{"combined_score": sums["cpu"], **sums}}
"""
CHEATS = {
    "thread": """
import threading
_known = {}
def fill():
    for n in range(100):
        _known[n] = slow(n)
threading.Thread(target=fill, daemon=True).start()
def work(n):
    return [_known[n] if n in _known else slow(n)]
""",
    "process": """
import os
_out, _in = os.pipe()
if os.fork() == 0:
    for n in range(100):
        os.write(_in, b"%d %d\\n" % (n, slow(n)))
    os._exit(0)
os.set_blocking(_out, False)
_known = {}
def work(n):
    try:
        for line in os.read(_out, 4096).splitlines():
            m, value = line.split()
            _known[int(m)] = int(value)
    except BlockingIOError:
        pass
    return [_known[n] if n in _known else slow(n)]
""",
    "lazy": """
class Lazy(list):
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        yield slow(self.n)
def work(n):
    return Lazy(n)
""",
    "lazy object": """
class Lazy:
    def __init__(self, n):
        self.n = n
    def keys(self):
        return [0]
    def __getitem__(self, key):
        return slow(self.n)
def work(n):
    return Lazy(n)
""",
    "lazy attribute": """
class Lazy:
    def __init__(self, n):
        self.n = n
    @property
    def later(self):
        return slow(self.n)
def work(n):
    return Lazy(n)
""",
    "clocks patched": """
import time
for name in ("time", "perf_counter", "process_time", "monotonic", "thread_time"):
    setattr(time, name, lambda: 0.0)
    setattr(time, name + "_ns", lambda: 0)
""",
    "before the work": """
from evolve_inside import evolve_remote as remote
_hold, _known = remote._SERVED["hold"], {}
def hold(question):
    reply = _hold(question)
    what, *arguments = remote._held[-1]
    if what == "call":
        _known[arguments[1][0]] = slow(arguments[1][0])
    return reply
remote.hold = hold
def work(n):
    return [_known.pop(n)] if n in _known else [slow(n)]
""",
    "after the work": """
from evolve_inside import evolve_remote as remote
_made = {}
_fetch = remote.fetch
def fetch():
    answer = remote._made[-1]
    if type(answer) is list and answer and answer[0] in _made:
        remote._made[-1] = [slow(_made.pop(answer[0]))]
    return _fetch()
remote.fetch = fetch
def work(n):
    _made[-n - 1] = n
    return [-n - 1]
""",
}
# An attribute's work is charged to the next call, so that of the last call is not.
UNPAID = {"lazy attribute": CALLS / (CALLS - 1)}


class Timed:
    """The scores of programs in one sandbox."""

    def __init__(self, judge: Judge, folder: Path) -> None:
        self._judge, self._folder = judge, folder
        rows = [judge(folder) for _ in range(3)]
        self.honest = max(float(row.score or 0) for row in rows)
        self.seed = rows[-1]

    def __call__(self, cheat: str) -> Evaluation:
        return self._judge(self._folder, HONEST + cheat)


@pytest.fixture(scope="module", params=SANDBOXES)
def timed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Timed]:
    folder = tmp_path_factory.mktemp("clocks")
    (folder / "evaluator.py").write_text(EVALUATOR)
    (folder / "initial_program.py").write_text(HONEST)
    with Judge(request.param, folder.parent / "log") as judge:
        yield Timed(judge, folder)


def test_the_seed_is_as_fast_as_in_its_evaluators_process(timed: Timed) -> None:
    assert 0.8 < timed.honest < 1.25


@pytest.mark.parametrize("name", sorted(CHEATS))
def test_no_cheat_is_faster_than_the_honest_program(name: str, timed: Timed) -> None:
    row = timed(CHEATS[name])
    assert row.score is not None and row.score > 0, row
    assert row.score < 1.2 * UNPAID.get(name, 1.0) * timed.honest, (name, row)

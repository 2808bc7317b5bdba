"""Ten ways to look faster than one is: each pays when timed naively, and none when measured.

The honest program adds up; the naive scorers are those that people write: the least time of
calls with the same input, calls of a few known inputs, a clock in the candidate's process,
or variant and reference in one process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli import evolve

ROUNDS, DOMAIN = 40_000, 64  # more inputs than a process gets, few enough for a table
HONEST = f"""
def work(n):
    total = 0
    for i in range({ROUNDS}):
        total += (n + i * i) % 7
    return total
"""
SAME_INPUT = """
def evaluate(candidate, case):
    candidate.call("work", 3)
    times = []
    for _ in range(5):
        candidate.call("work", 3)
        times.append(candidate.seconds)
    return 1e-3 / min(times)
"""
KNOWN_INPUTS = """
import time
def evaluate(candidate, case):
    candidate.call("work", 0)
    times = []
    for n in range(4):
        time.sleep(0.1)
        candidate.call("work", n)
        times.append(candidate.seconds)
    return 1e-3 / min(times)
"""
OWN_CLOCK = """
def evaluate(candidate, case):
    candidate.put({"timed.py": "import time, main\\n"
        "def seconds(n):\\n"
        "    start = time.perf_counter()\\n"
        "    main.work(n)\\n"
        "    return max(time.perf_counter() - start, 1e-6)\\n"})
    candidate.call("work", 0)
    return 1e-3 / min(candidate.call("seconds", n) for n in range(3))
"""
BOTH_IN_ONE = """
def evaluate(candidate, case):
    def total(name):
        times = []
        for n in range(5):
            candidate.call(name, n)
            times.append(candidate.seconds)
        return sum(times)
    candidate.call("work", 0)
    return total("reference") / total("work")
"""
TIMED = f"""
def draw(rng, case):
    return [int(rng.integers({DOMAIN}))]
"""
FORWARDS = """
def seconds(n):
    import timed
    return timed.seconds(n)
"""
REFERENCE = HONEST.replace("def work", "def reference")
LONG = HONEST.replace(str(ROUNDS), str(10 * ROUNDS))


@dataclass(frozen=True)
class Cheat:
    """A program, the naive scorer that it deceives, and how it is measured."""

    program: str
    naive: str
    clock: str = "cpu"
    honest: str = HONEST


CHEATS = {
    "memo": Cheat(
        f"import functools{HONEST}\nwork = functools.cache(work)", SAME_INPUT
    ),
    "import": Cheat(
        f"{HONEST}\n_known = {{n: work(n) for n in range({DOMAIN})}}\n"
        "def work(n):\n    return _known[n]\n",
        KNOWN_INPUTS,
    ),
    "warm-only": Cheat(
        f"{HONEST.replace('def work', 'def slow')}\n_known = {{}}\n"
        "def work(n):\n"
        "    if not _known:\n"
        f"        _known.update((m, slow(m)) for m in range({DOMAIN}))\n"
        "    return _known[n]\n",
        KNOWN_INPUTS,
    ),
    "thread": Cheat(
        f"import threading{HONEST.replace('def work', 'def slow')}\n_known = {{}}\n"
        "def fill():\n"
        f"    for m in range({DOMAIN}):\n        _known[m] = slow(m)\n"
        "threading.Thread(target=fill, daemon=True).start()\n"
        "def work(n):\n"
        "    return _known[n] if n in _known else slow(n)\n",
        KNOWN_INPUTS,
    ),
    "process": Cheat(
        f"import os{HONEST.replace('def work', 'def slow')}\n"
        "_out, _in = os.pipe()\n"
        "if os.fork() == 0:\n"
        f"    for m in range({DOMAIN}):\n"
        "        os.write(_in, b'%d %d\\n' % (m, slow(m)))\n"
        "    os._exit(0)\n"
        "os.set_blocking(_out, False)\n_known = {}\n"
        "def work(n):\n"
        "    try:\n"
        "        for line in os.read(_out, 4096).splitlines():\n"
        "            m, value = line.split()\n            _known[int(m)] = int(value)\n"
        "    except BlockingIOError:\n        pass\n"
        "    return _known[n] if n in _known else slow(n)\n",
        KNOWN_INPUTS,
    ),
    "clock patched": Cheat(
        f"import time{HONEST}\ntime.perf_counter = lambda: 0.0\n{FORWARDS}", OWN_CLOCK
    ),
    "lazy": Cheat(
        f"{HONEST.replace('def work', 'def slow')}\n"
        "class Later:\n"
        "    def __init__(self, n):\n        self.n = n\n"
        "    def __int__(self):\n        return slow(self.n)\n"
        "    __index__ = __int__\n"
        "_calls = []\n"
        "def work(n):\n"
        "    _calls.append(n)\n"
        "    return slow(n) if len(_calls) == 1 else Later(n)\n"
        f"{FORWARDS}",
        OWN_CLOCK,
    ),
    "proxy": Cheat(
        f"{HONEST.replace('def work', 'def slow')}\n"
        "class Proxy(int):\n"
        "    def __repr__(self):\n        return str(slow(self.real))\n"
        "    __str__ = __repr__\n"
        "_calls = []\n"
        "def work(n):\n"
        "    _calls.append(n)\n"
        "    return slow(n) if len(_calls) == 1 else Proxy(n)\n"
        f"{FORWARDS}",
        OWN_CLOCK,
    ),
    "sleeping reference": Cheat(
        f"import sys, time{HONEST}{REFERENCE}\n"
        "_true = reference\n"
        "def reference(n):\n    time.sleep(0.02)\n    return _true(n)\n",
        BOTH_IN_ONE,
    ),
    "core stealing": Cheat(
        f"import os, signal, threading{LONG}{LONG.replace('work', 'reference')}\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "_thieves = []\n"
        "for _ in range(3):\n"
        "    _thieves.append(os.fork())\n"
        "    while not _thieves[-1]:\n        pass\n"
        "def tell(number):\n"
        "    for pid in _thieves:\n        os.kill(pid, number)\n"
        "_work = work\n"
        "def work(n):\n"
        "    tell(signal.SIGSTOP)\n"
        "    try:\n        return _work(n)\n"
        "    finally:\n"
        "        threading.Timer(0.005, tell, [signal.SIGCONT]).start()\n",
        BOTH_IN_ONE,
        clock="wall",
        honest=LONG,
    ),
}


QUICK = ("memo", "thread", "lazy")  # the others are slow tests


TRIES = 3


def score_of(
    place: Path, program: str, scorer: str, toml: str, sandbox: str, seed: str = HONEST
) -> float | None:
    """Score a program by a task whose seed is honest; None if it fails."""
    place.mkdir()
    (place / "initial").mkdir()
    (place / "initial" / "main.py").write_text(seed)
    (place / "task.toml").write_text(f'name = "t"\ndescription = "t"\n{toml}')
    (place / "evaluate.py").write_text(scorer)
    (place / "variant.py").write_text(program)
    done = evolve("eval", place, place / "variant.py", "--sandbox", sandbox, "--json")
    assert done.code in (0, 1), done.err
    found: float | None = json.loads(done.out)["score"]
    return found


@pytest.mark.alone
@pytest.mark.parametrize("cheat", CHEATS)
def test_each_pays_when_timed_naively(tmp_path: Path, cheat: str) -> None:
    found = CHEATS[cheat]
    program = (
        found.honest + FORWARDS + found.honest.replace("def work", "def reference")
    )
    ratios = []
    for number in range(TRIES):  # the naive clock is at the mercy of other load
        place = tmp_path / str(number)
        place.mkdir()
        honest = score_of(place / "honest", program, found.naive, "", "bubblewrap")
        gained = score_of(place / "cheat", found.program, found.naive, "", "bubblewrap")
        assert honest is not None and gained is not None
        ratios.append(gained / honest)
        if ratios[-1] > 1.15:
            return
    raise AssertionError(ratios)


@pytest.mark.parametrize(
    "sandbox",
    [
        pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow]),
        "bubblewrap",
    ],
)
@pytest.mark.parametrize(
    "cheat",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in CHEATS
    ],
)
def test_none_pays_when_measured(tmp_path: Path, cheat: str, sandbox: str) -> None:
    found = CHEATS[cheat]
    toml = f'[timing]\nfunction = "work"\nclock = "{found.clock}"\nseconds = 8\n'
    score = score_of(
        tmp_path / "task", found.program, TIMED, toml, sandbox, found.honest
    )
    assert score is None or score <= 1.0, score


def test_an_honest_gain_is_measured(tmp_path: Path) -> None:
    """The same tests would pass if nothing ever gained."""
    cyclic = (
        "def work(n):\n"
        f"    whole, rest = divmod({ROUNDS}, 7)\n"
        "    cycle = [(n + i * i) % 7 for i in range(7)]\n"
        "    return whole * sum(cycle) + sum(cycle[:rest])\n"
    )
    toml = '[timing]\nfunction = "work"\nseconds = 30\n'
    score = score_of(tmp_path / "task", cyclic, TIMED, toml, "bubblewrap")
    assert score is not None and score > 5.0

"""Counts of the kernel: of a process, its threads and what it starts. Of a software event, as
virtual machines seldom have hardware counters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from evolve.sandbox.inside.counters import HARDWARE, Counter
from evolve.timing.blocks import Block, Side, instruction_ratio

SOFTWARE, TASK_CLOCK_NS = 1, 1  # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK
BURNS = """
import subprocess, sys, threading, time
def burn():
    while time.thread_time() < 0.1: pass
sys.stdin.readline()
thread = threading.Thread(target=burn)
thread.start()
thread.join()
subprocess.run([sys.executable, "-S", "-c", "import time\\nwhile time.process_time() < 0.1: pass"])
print("done", flush=True)
sys.stdin.readline()
"""


@contextmanager
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", BURNS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        yield started


def say(started: subprocess.Popen[str]) -> None:
    assert started.stdin is not None
    started.stdin.write("\n")
    started.stdin.flush()


def test_threads_and_processes_that_start_later_are_counted() -> None:
    with process() as started:
        counter = Counter([started.pid], SOFTWARE, TASK_CLOCK_NS)
        assert counter.read() is not None
        say(started)
        assert started.stdout is not None and started.stdout.readline() == "done\n"
        counted = counter.read()
        counter.close()
        assert counted is not None and 0.18e9 < counted < 2e9
        assert counter.read() is None
        say(started)


def test_what_the_kernel_does_not_count_is_none() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for counter in (
        Counter([os.getpid()], HARDWARE, 99),
        Counter([]),
        Counter([2**22 + 1]),
    ):
        assert counter.read() is None
        counter.close()
    assert len(os.listdir("/proc/self/fd")) == before


def side(instructions: tuple[int, ...]) -> Side:
    return Side((10,) * 4, (10,) * 4, 0, instructions)


def test_the_ratio_of_instructions_leaves_out_the_encoding() -> None:
    counted = Block(side((1100,) * 4), side((2100,) * 4), side((100,) * 4))
    assert instruction_ratio([counted]) == pytest.approx(2.0)
    assert instruction_ratio([Block(side(()), side(()), side(()))]) is None

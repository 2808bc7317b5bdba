"""Measures of the engine's process: CPU time of the event loop's callbacks, memory, descriptors."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from evolve.sandbox import Pool, Provider, SandboxSpec
from evolve.sandbox.bubblewrap import BubblewrapProvider
from evolve.sandbox.docker import DockerProvider

PROVIDERS: dict[str, Callable[[SandboxSpec], Provider]] = {
    "docker": DockerProvider,
    "bubblewrap": BubblewrapProvider,
}
# for hostile candidates: write bytes to the pipe of replies, and the id of the request
HEAD = """
import json, os, struct, sys, threading, time

def asked():
    frame = sys._getframe()
    while "header" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["header"]["id"]

def say(head, body=b""):
    data = struct.pack(">II", len(head), len(body)) + head + body
    while data:
        data = data[os.write(4, data):]
"""


@dataclass
class Watch:
    """What was measured.

    Attributes:
        longest_s: most CPU time of the loop's thread in one callback, in seconds
    """

    longest_s: float = 0.0


@contextmanager
def watched_loop() -> Iterator[Watch]:
    """Measure every callback of every event loop of this thread.

    Objects of the tests before do not count: the garbage collector leaves them out.
    """
    watch, run = Watch(), asyncio.Handle._run
    gc.collect()
    gc.freeze()

    def measured(handle: asyncio.Handle) -> None:
        before = time.thread_time()
        run(handle)
        watch.longest_s = max(watch.longest_s, time.thread_time() - before)

    asyncio.Handle._run = measured  # type: ignore[method-assign]
    try:
        yield watch
    finally:
        asyncio.Handle._run = run  # type: ignore[method-assign]
        gc.unfreeze()


@dataclass
class Growth:
    """The most that this process had more than at the start: MB of memory, descriptors."""

    megabytes: float = 0.0
    descriptors: int = 0


@contextmanager
def growth(every_s: float = 0.05) -> Iterator[Growth]:
    """Sample this process from a thread of its own, so that a busy loop is seen, too."""
    import threading

    gc.collect()
    me, ended = psutil.Process(), threading.Event()
    memory, descriptors, grown = me.memory_info().rss, me.num_fds(), Growth()

    def sample() -> None:
        while not ended.wait(every_s):
            now = (me.memory_info().rss - memory) / 1e6
            grown.megabytes = max(grown.megabytes, now)
            grown.descriptors = max(grown.descriptors, me.num_fds() - descriptors)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield grown
    finally:
        ended.set()
        thread.join()


async def a_pool(place: str, spec: SandboxSpec, size: int) -> Pool:
    """A pool of a prepared provider; its boxes start at their first use."""
    provider = PROVIDERS[place](spec)
    await provider.prepare(lambda line: None)
    return Pool(provider, size)

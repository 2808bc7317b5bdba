"""What a call may leave behind in its process, and must not."""

from __future__ import annotations

import gc
import os
import signal
import sys
import sysconfig
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# a server in a thread of this process closes its end of a connection a little later
PATIENCE_S = 5.0


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Context manager: fail when files, threads, handlers or filters are left that were not there."""
    settings, files, threads = _settings(), _files(), _threads()
    yield
    changed = {
        name: (settings[name], value)
        for name, value in _settings().items()
        if settings[name] != value
    }
    assert not changed, f"the call changed its process: {changed}"
    remaining = _remaining(files, threads)
    assert not remaining, f"the call left open or running: {remaining}"


def _settings() -> dict[str, Any]:
    handlers = {
        f"handler of {number.name}": signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP)
    }
    return handlers | {
        "umask": _umask(),
        "hook of exceptions": sys.excepthook,
        "filters of warnings": list(warnings.filters),
        "collector": gc.isenabled(),
    }


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _files() -> dict[str, str]:
    """Descriptors with what they are open on; libraries keep their own data, such as fonts."""
    libraries = sysconfig.get_path("purelib")
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            what = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the listing's own
            continue
        if not what.startswith(libraries):
            found[name] = what
    return found


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}


def _remaining(files: dict[str, str], threads: set[threading.Thread]) -> list[str]:
    """What is still open or running, once what is only slow has ended."""
    end = time.monotonic() + PATIENCE_S
    while True:
        open_still = [
            f"{name}: {what}"
            for name, what in _files().items()
            if files.get(name) != what
        ]
        found = open_still + [thread.name for thread in _threads() - threads]
        if not found or time.monotonic() > end:
            return found
        gc.collect()  # what only a cycle keeps open is reported as unraisable
        time.sleep(0.02)

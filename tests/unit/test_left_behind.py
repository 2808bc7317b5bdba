"""The command line in this process, and the guard that finds what a call leaves behind."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import left_behind
from tests.cli import Result, evolve, evolve_process
from tests.left_behind import nothing_left_behind


@contextmanager
def _undone() -> Iterator[list[Callable[[], object]]]:
    """Context manager: a list of what puts the process in order again."""
    undo: list[Callable[[], object]] = []
    try:
        yield undo
    finally:
        for step in undo:
            step()


def leaves_a_file(folder: Path, undo: list[Callable[[], object]]) -> None:
    undo.append((folder / "file").open("w").close)


def leaves_a_thread(folder: Path, undo: list[Callable[[], object]]) -> None:
    end = threading.Event()
    threading.Thread(target=end.wait, name="waits", daemon=False).start()
    undo.append(end.set)


def leaves_a_handler(folder: Path, undo: list[Callable[[], object]]) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    undo.append(lambda: signal.signal(signal.SIGTERM, before))


def leaves_a_filter(folder: Path, undo: list[Callable[[], object]]) -> None:
    warnings.simplefilter("ignore")  # pytest puts them back after the test
    undo.append(lambda: warnings.simplefilter("error"))


def leaves_a_hook(folder: Path, undo: list[Callable[[], object]]) -> None:
    before, sys.excepthook = sys.excepthook, lambda *about: None
    undo.append(lambda: setattr(sys, "excepthook", before))


def leaves_a_mask(folder: Path, undo: list[Callable[[], object]]) -> None:
    before = os.umask(0o077)
    undo.append(lambda: os.umask(before))


def leaves_the_collector_off(folder: Path, undo: list[Callable[[], object]]) -> None:
    gc.disable()
    undo.append(gc.enable)


@pytest.mark.parametrize(
    "leaves",
    [
        leaves_a_file,
        leaves_a_thread,
        leaves_a_handler,
        leaves_a_filter,
        leaves_a_hook,
        leaves_a_mask,
        leaves_the_collector_off,
    ],
)
def test_what_a_call_leaves_behind_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leaves: Callable[[Path, list[Callable[[], object]]], None],
) -> None:
    monkeypatch.setattr(left_behind, "PATIENCE_S", 0.1)
    with (
        _undone() as undo,
        pytest.raises(AssertionError, match="the call"),
        nothing_left_behind(),
    ):
        leaves(tmp_path, undo)


def _seen(done: Result) -> tuple[int, list[str], bool]:
    """The exit code, the words of its output, and whether it complained."""
    return done.code, done.out.split(), bool(done.err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("ls", "--json"),
        ("tree",),
        ("tree", "--no-such-option"),
        (),
        ("resume", "--help"),
    ],
)
def test_in_process_and_as_a_process_it_is_the_same_command(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    inside = evolve(*arguments, cwd=tmp_path)
    outside = evolve_process(*arguments, cwd=tmp_path)
    assert _seen(inside) == _seen(outside)
    assert inside.err == outside.err


def test_its_surroundings_are_its_own(tmp_path: Path) -> None:
    folder, variables, words = os.getcwd(), dict(os.environ), list(sys.argv)
    (tmp_path / ".env").write_text("EVOLVE_WORKERS=5\n")
    shown = evolve(
        "config", "show", "--json", cwd=tmp_path, env={"EVOLVE_SEED": "9"}
    ).json()
    assert shown["workers"] == {"value": 5, "origin": ".env"}
    assert shown["seed"] == {"value": 9, "origin": "environment"}
    assert (os.getcwd(), dict(os.environ), sys.argv) == (folder, variables, words)
    assert "EVOLVE_SEED" not in os.environ


def test_an_error_that_nobody_expects_is_a_traceback_with_debug(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for call in (evolve, evolve_process):
        done = call("--debug", "rm", "x", "--yes", cwd=tmp_path)
        assert done.code in (1, 2) and "Traceback" in done.err

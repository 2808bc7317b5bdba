"""The agent's hands: commands in a shell, and exact changes of files."""

from __future__ import annotations

import os
import signal
import subprocess

TIMEOUT_S = 60
OUTPUT_CHARS = 6000
SHOWN_CHARS = 16000  # of files, in the first question
changed: set[str] = set()  # the files that were written in this problem


def bash(script: str) -> str:
    """Run a script; returns what it printed and how it ended."""
    process = subprocess.Popen(
        ["bash", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += f"\n(ended after {TIMEOUT_S} s)".encode()
    return f"{shorten(output.decode(errors='replace'))}\n(exit status {process.returncode})"


def went_well(result: str) -> bool:
    """Whether a block did what it should: a command ended with 0, a file is written."""
    return result.endswith("(exit status 0)") or (
        " is written, " in result and "\n" not in result
    )


def edit(path: str, body: str) -> str:
    """Replace lines of a file, or write a new one; says what was done or what is wrong."""
    parts = split_edit(body)
    if parts is None:
        return "an edit block holds <<<<<<<, the old lines, =======, the new lines, >>>>>>>"
    old, new = parts
    if not old.strip():
        return write(path, new)
    text = text_of(path)
    if not text:
        return f"there is no text in {path}: it can't be read, or it is empty"
    if text.count(old) != 1:
        return f"the old lines are in {path} {text.count(old)} times; they must be there exactly once"
    return write(path, text.replace(old, new))


def split_edit(body: str) -> tuple[str, str] | None:
    """The old and the new lines of an edit block."""
    lines = body.splitlines(keepends=True)
    marks = [
        number
        for number, line in enumerate(lines)
        if line.rstrip() in ("<<<<<<<", "=======", ">>>>>>>")
    ]
    if len(marks) != 3:
        return None
    first, middle, last = marks
    return "".join(lines[first + 1 : middle]), "".join(lines[middle + 1 : last])


def write(path: str, text: str) -> str:
    """Write a whole file; says so where that changes nothing."""
    if text and path not in changed and text_of(path) == text:
        return f"{path} is as it was before: write out what shall be different"
    changed.add(path)
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        return f"{path} can't be written: {error}"
    return f"{path} is written, {len(text.splitlines())} lines"


def paths() -> list[str]:
    """The names of the files here."""
    return sorted(
        os.path.relpath(os.path.join(folder, name))
        for folder, _, names in os.walk(".")
        if "/." not in folder
        for name in names
    )


def files(limit: int = 100) -> str:
    """The files here, and what is in them as long as there is room for it."""
    found, shown, room = paths(), [], SHOWN_CHARS
    for path in found[:limit]:
        text = content(path, room)
        room -= len(text)
        shown.append(
            f"## {path}\n````\n{text}````" if text else f"## {path} (not shown)"
        )
    more = f"\n... and {len(found) - limit} more" if len(found) > limit else ""
    return "\n".join(shown) + more


def content(path: str, room: int) -> str:
    """A text that fits into the room, or nothing."""
    text = text_of(path, room + 1)
    return text if len(text) <= room else ""


def text_of(path: str, most: int = -1) -> str:
    """The text of a file, or so much of it; nothing where there is none."""
    try:
        with open(path) as file:
            return file.read(most)
    except (OSError, UnicodeDecodeError):
        return ""


def shorten(text: str) -> str:
    """The beginning and the end of a long text."""
    if len(text) <= OUTPUT_CHARS:
        return text.rstrip("\n")
    half = OUTPUT_CHARS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"

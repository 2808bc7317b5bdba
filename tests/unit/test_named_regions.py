"""Editable regions that task.toml names by function or class."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from evolve.errors import TaskError
from evolve.tasks import editable_region, load_task, unmarked
from evolve.tasks.named import marked

SOURCE = '''"""A library."""
import functools


@functools.cache
def remap(x):
    def inner(y):
        return y
    return inner(x)

if True:
    def either():
        return 1
else:
    def either():
        return 2


class Box:
    @property
    def area(self):
        """The area.

        Of the box."""
        return 1

    @area.setter
    def area(self, value):
        self.value = value

    async def wait(self):
        return 2'''


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n# the end", "\n\n# the end\n"])
@pytest.mark.parametrize("head", ["", "\ufeff", "\x0c\n", "#!/usr/bin/env python3\n"])
@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (["remap"], [("@functools.cache", "return inner(x)")]),
        (["remap.inner"], [("def inner(y):", "return y")]),
        (["either"], [("def either():", "return 1"), ("def either():", "return 2")]),
        (
            ["Box.area"],
            [("@property", "return 1"), ("@area.setter", "self.value = value")],
        ),
        (["Box"], [("class Box:", "return 2")]),
        (["Box", "Box.wait"], [("class Box:", "return 2")]),
        (
            ["Box.wait", "remap"],
            [("@functools.cache", "return inner(x)"), ("async def wait", "return 2")],
        ),
    ],
)
def test_a_name_is_a_region(
    names: list[str],
    texts: list[tuple[str, str]],
    head: str,
    end: str,
    line_end: str,
) -> None:
    source = (head + SOURCE + end).replace("\n", line_end).encode()
    given = marked("a.py", source, names)
    region = editable_region(given.decode())
    blocks = ["".join(region.lines[a:b]).strip() for a, b in region.blocks]
    assert [
        (b.startswith(x), b.endswith(y))
        for b, (x, y) in zip(blocks, texts, strict=True)
    ] == [(True, True)] * len(texts)
    assert ast.dump(ast.parse(given)) == ast.dump(ast.parse(source))
    assert unmarked({"a.py": given}) == {"a.py": source}
    assert given.count(b"\r") == given.count(b"\n") * (line_end == "\r\n")


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        (SOURCE, "remapp", "a.py defines no 'remapp'"),
        ("x = 1\n", "f", "a.py defines no 'f'"),
        (f"# EVOLVE-BLOCK-START\n{SOURCE}\n# EVOLVE-BLOCK-END\n", "remap", "markers"),
        ("def f(:\n", "f", "not valid Python"),
        ("x = 1\rdef f(): pass\n", "f", "carriage return"),
    ],
)
def test_what_can_not_be_marked_says_why(source: str, name: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        marked("a.py", source.encode(), [name])


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TaskError) as raised:
        marked("a.py", SOURCE.encode(), ["Box.are"])
    assert raised.value.hint == (
        "did you mean 'Box.area'?; it defines remap, remap.inner, either, Box, Box.area, Box.wait"
    )


def _task(folder: Path, editable: str, source: str = SOURCE) -> Path:
    (folder / "initial").mkdir(parents=True)
    (folder / "initial" / "a.py").write_text(source)
    (folder / "initial" / "b.c").write_text("int x;\n")
    (folder / "evaluate.py").write_text(
        "def evaluate(candidate, case):\n    return 1\n"
    )
    (folder / "task.toml").write_text(
        f'name = "named"\ndescription = "Be fast."\neditable = {editable}\n'
    )
    return folder


@pytest.mark.parametrize(
    ("editable", "message"),
    [
        ('["a.py", "a.py:remap"]', "with and without a name"),
        ('["b.c:x"]', "only one Python file can have names"),
        ('["*.py:x"]', "only one Python file can have names"),
        ('["c.py:x"]', "initial/ has no file 'c.py'"),
        ('["a.py:"]', "a.py defines no ''"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, editable: str, message: str) -> None:
    with pytest.raises(TaskError, match=message.replace("*", ".")):
        load_task(_task(tmp_path / "task", editable))


def test_a_file_from_outside_is_marked_as_the_seed_is(tmp_path: Path) -> None:
    task = load_task(_task(tmp_path / "task", '["a.py:remap", "b.c"]'))
    assert task.editable == ("a.py", "b.c")
    plain = SOURCE.replace(
        "@functools.cache", "def helper():\n    return 3\n\n\n@functools.cache"
    )
    found = task.marked({"a.py": plain.encode(), "b.c": b"int y;\n"})
    assert unmarked(found) == {"a.py": plain.encode(), "b.c": b"int y;\n"}
    fixed = editable_region(task.seed["a.py"].decode()).fixed
    assert editable_region(found["a.py"].decode()).fixed == fixed
    assert "def helper" in editable_region(found["a.py"].decode()).text

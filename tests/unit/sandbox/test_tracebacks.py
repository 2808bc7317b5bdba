"""What is told of an exception: the frames of the code's author, not ours."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from evolve.sandbox.inside import tracebacks


def told(work: str, folder: Path) -> str:
    """What is told of a module `theirs` that this very file imports and calls."""
    (folder / "theirs.py").write_text(work)
    sys.modules.pop("theirs", None)
    with pytest.raises(Exception) as caught:
        importlib.import_module("theirs").go()
    return tracebacks.format_traceback(caught.value, __file__, 4000)


@pytest.fixture(autouse=True)
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))


def test_what_their_code_raises_begins_with_their_line(tmp_path: Path) -> None:
    said = told(
        "import json\ndef go():\n    return json.loads('{')\n", tmp_path
    ).splitlines()
    assert said[0].startswith("Traceback") and said[1].endswith(
        'theirs.py", line 3, in go'
    )
    assert any("decoder.py" in line for line in said), "what they called stays"


def test_what_an_import_raises_has_no_frames_of_the_import(tmp_path: Path) -> None:
    said = told("import no_such_module_of_ours\n", tmp_path)
    assert "importlib" not in said and 'theirs.py", line 1, in <module>' in said


def test_a_syntax_error_shows_its_line(tmp_path: Path) -> None:
    said = told("def go() return 1\n", tmp_path)
    assert "importlib" not in said and "def go() return 1" in said


def test_what_was_raised_by_us_needs_no_frames(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("")
    sys.modules.pop("theirs", None)
    with pytest.raises(AttributeError) as caught:
        importlib.import_module("theirs").go()
    assert tracebacks.format_traceback(caught.value, __file__, 4000) == ""
    assert len(told("def go():\n    raise ValueError('x' * 9000)\n", tmp_path)) == 4000

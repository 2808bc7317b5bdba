"""Sandbox providers by name: what is wrong with a class is said before a run begins."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from evolve.sandbox import (
    NoSuchSandbox,
    ProviderFault,
    SandboxSpec,
    choose,
    prepare_provider,
    provider_class,
)
from evolve.sandbox.local import LocalProvider
from evolve.sandbox.provider import Progress

WHOLE = """
    name, isolates = "mine", False
    async def prepare(self, progress): pass
    async def start(self): pass
    async def close(self): pass
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (WHOLE.replace("start", "begin"), "does not define start"),
        (WHOLE.replace("name, isolates", "name, other"), "does not define isolates"),
        ("    pass", "does not define close, prepare, start, name, isolates"),
    ],
)
def test_an_incomplete_provider_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    (tmp_path / "mine.py").write_text(
        f"from evolve.sandbox import Provider\nclass Mine(Provider):\n{body}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    with pytest.raises(NoSuchSandbox) as caught:
        provider_class("mine:Mine")
    assert words in caught.value.message
    del sys.modules["mine"]  # monkeypatch would bring it back at the end


def test_a_whole_provider_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_whole.py").write_text(
        f"from evolve.sandbox import Provider\nclass Mine(Provider):\n{WHOLE}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert provider_class("mine_whole:Mine").__name__ == "Mine"


def test_unknown_names_are_refused() -> None:
    for name, words in (
        ("dokcer", "invalid sandbox"),
        ("evolve.sandbox.limits:Limits", "is not a sandbox provider"),
        ("nowhere.at_all:Mine", "can't be imported"),
    ):
        with pytest.raises(NoSuchSandbox, match=words):
            provider_class(name)


class Failing(LocalProvider):
    """A provider with a fault of the machine in its preparation."""

    name = "failing"

    async def prepare(self, progress: Progress) -> None:
        raise ProviderFault("its folder can't be written", "set TMPDIR")


def test_auto_goes_on_after_a_fault_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(choose._BUILT_IN, "docker", f"{__name__}:Failing")
    monkeypatch.setattr(choose, "AUTOMATIC", ("docker", "local"))
    found = asyncio.run(prepare_provider("auto", SandboxSpec(), lambda line: None))
    assert found.provider.name == "local"
    assert found.passed_over == ("docker: its folder can't be written",)

"""The local provider keeps the contract."""

from __future__ import annotations

from sandbox import Provider, SandboxSpec
from sandbox.choose import AUTOMATIC
from sandbox.contract import SandboxContract
from sandbox.local import LocalProvider


class TestLocal(SandboxContract):
    def make_provider(self, spec: SandboxSpec) -> Provider:
        return LocalProvider(spec)


def test_it_says_that_it_isolates_nothing() -> None:
    assert LocalProvider.isolates is False


def test_it_is_never_chosen_by_itself() -> None:
    assert AUTOMATIC == ("docker", "bubblewrap")

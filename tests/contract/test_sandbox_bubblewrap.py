"""The bubblewrap provider keeps the contract."""

from __future__ import annotations

from sandbox import Provider, SandboxSpec
from sandbox.bubblewrap import BubblewrapProvider
from sandbox.contract import SandboxContract


class TestBubblewrap(SandboxContract):
    def make_provider(self, spec: SandboxSpec) -> Provider:
        return BubblewrapProvider(spec)

"""The docker provider keeps the contract."""

from __future__ import annotations

import pytest

from evolve.sandbox import Provider, SandboxSpec
from evolve.sandbox.contract import SandboxContract
from evolve.sandbox.docker import DockerProvider

pytestmark = pytest.mark.docker


class TestDocker(SandboxContract):
    def make_provider(self, spec: SandboxSpec) -> Provider:
        return DockerProvider(spec)

"""The docker provider keeps the contract."""

from __future__ import annotations

import pytest

from sandbox import Provider, SandboxSpec
from sandbox.contract import SandboxContract
from sandbox.docker import DockerProvider

pytestmark = pytest.mark.docker


class TestDocker(SandboxContract):
    def make_provider(self, spec: SandboxSpec) -> Provider:
        return DockerProvider(spec)

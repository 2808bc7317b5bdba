"""Sandboxes with one defence switched off, to see that its attack then succeeds.

They are still limited containers or namespaces: hostile code never runs unprotected on the host.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolve.sandbox import SandboxSpec
from evolve.sandbox import inside as trusted
from evolve.sandbox.bubblewrap import BubblewrapProvider
from evolve.sandbox.docker import DockerProvider
from evolve.sandbox.rootfs import INSIDE

_INSIDE = Path(trusted.__file__).parent


def patched_server(*changes: tuple[str, str]) -> str:
    """A folder with a changed fork server: each `old` text, which it must have once, is `new`."""
    folder = Path(tempfile.mkdtemp(prefix="evolve-weaker-"))
    for path in _INSIDE.glob("*.py"):
        shutil.copy(path, folder)
    for old, new in changes:
        holders = [path for path in folder.glob("*.py") if old in path.read_text()]
        assert len(holders) == 1, f"the defence is not where this test thinks: {old!r}"
        text = holders[0].read_text()
        assert text.count(old) == 1, f"the defence stands more than once: {old!r}"
        holders[0].write_text(text.replace(old, new))
    folder.chmod(0o755)
    return str(folder)


class WeakerDocker(DockerProvider):
    """One hardening option changed, or one line of the server."""

    def __init__(
        self,
        spec: SandboxSpec,
        options: Mapping[str, Any] | None = None,
        server: str = "",
    ) -> None:
        super().__init__(spec)
        self._options, self._server = dict(options or {}), server

    def _hardening(self) -> dict[str, Any]:
        weaker = super()._hardening() | self._options
        if self._server:
            weaker["volumes"] = {self._server: {"bind": INSIDE, "mode": "ro"}}
        return weaker


class WeakerBubblewrap(BubblewrapProvider):
    """Some system calls allowed, options of bwrap changed, or some lines of the server."""

    def __init__(
        self,
        spec: SandboxSpec,
        *,
        allowed: frozenset[str] = frozenset(),
        without: tuple[str, ...] = (),
        more: tuple[str, ...] = (),
        server: str = "",
        cgroups: bool = True,
    ) -> None:
        super().__init__(spec)
        self.allowed_calls, self.uses_cgroups = allowed, cgroups
        self._without, self._more, self._server = without, more, server

    def _namespaces(self) -> list[str]:
        text = "\0".join(super()._namespaces())
        for option in self._without:
            assert option in text
            text = text.replace(option, "")
        command = [*(word for word in text.split("\0") if word), *self._more]
        return (
            [*command, "--ro-bind", self._server, INSIDE] if self._server else command
        )


class WatchedProvider(BubblewrapProvider):
    """bubblewrap where no control group can be made."""

    uses_cgroups = False

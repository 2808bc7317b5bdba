"""Addresses of pages: on a server, or inside one file."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote


class Links(Protocol):
    """Addresses that templates need."""

    def home(self) -> str: ...

    def run(self) -> str: ...

    def run_named(self, name: str) -> str: ...

    def compare(self) -> str: ...

    def tab(self, name: str) -> str: ...

    def variant(self, name: str) -> str: ...

    def diff_form(self) -> str: ...


class ServedLinks:
    """Addresses on a server.

    Args:
        run: name of the run
    """

    def __init__(self, run: str = "") -> None:
        self._run = f"/run/{quote(run, safe='')}"

    def home(self) -> str:
        return "/"

    def run(self) -> str:
        return self._run

    def run_named(self, name: str) -> str:
        return f"/run/{quote(name, safe='')}"

    def compare(self) -> str:
        return "/compare"

    def tab(self, name: str) -> str:
        return self._run if name == "overview" else f"{self._run}/{name}"

    def variant(self, name: str) -> str:
        return f"{self._run}/variant/{quote(name, safe='')}"

    def diff_form(self) -> str:
        return f"{self._run}/diff"


class FileLinks:
    """Addresses inside one file."""

    def home(self) -> str:
        return "#overview"

    def run(self) -> str:
        return ""

    def run_named(self, name: str) -> str:
        return "#overview"

    def compare(self) -> str:
        return "#overview"

    def tab(self, name: str) -> str:
        return f"#{name}"

    def variant(self, name: str) -> str:
        return f"#variant/{quote(name, safe='')}"

    def diff_form(self) -> str:
        return "#overview"

"""Addresses of pages: on a server, or inside one file."""

from typing import Protocol
from urllib.parse import quote


class Links(Protocol):
    """Addresses that templates need."""

    def home(self) -> str:
        """Return the address of the list of runs."""

    def run(self) -> str:
        """Return the base address of this run's pages."""

    def run_named(self, name: str) -> str:
        """Return the address of the run with this name."""

    def compare(self) -> str:
        """Return the address of the comparison of runs."""

    def tab(self, name: str) -> str:
        """Return the address of a page of this run, such as overview."""

    def variant(self, name: str) -> str:
        """Return the address of a variant's page; `name` is the id of the variant."""

    def diff_form(self) -> str:
        """Return the address that receives the form to compare two variants."""


class ServedLinks:
    """Addresses on a server.

    Args:
        run: name of the run
    """

    def __init__(self, run: str = "") -> None:
        self._run = f"/run/{quote(run, safe='')}"

    def home(self) -> str:
        """Return `/`, the list of runs."""
        return "/"

    def run(self) -> str:
        """Return `/run/RUN`."""
        return self._run

    def run_named(self, name: str) -> str:
        """Return `/run/NAME`, quoted."""
        return f"/run/{quote(name, safe='')}"

    def compare(self) -> str:
        """Return `/compare`, which is not part of a run."""
        return "/compare"

    def tab(self, name: str) -> str:
        """Return `/run/RUN/TAB`; the overview is `/run/RUN` itself."""
        return self._run if name == "overview" else f"{self._run}/{name}"

    def variant(self, name: str) -> str:
        """Return `/run/RUN/variant/ID`, quoted."""
        return f"{self._run}/variant/{quote(name, safe='')}"

    def diff_form(self) -> str:
        """Return `/run/RUN/diff`."""
        return f"{self._run}/diff"


class FileLinks:
    """Addresses inside one file."""

    def home(self) -> str:
        """Return the overview: the file has no list of runs."""
        return "#overview"

    def run(self) -> str:
        """Return an empty text: all pages are in the same file."""
        return ""

    def run_named(self, name: str) -> str:
        """Return the overview: the file has only one run."""
        return "#overview"

    def compare(self) -> str:
        """Return the overview: the file has no comparison of runs."""
        return "#overview"

    def tab(self, name: str) -> str:
        """Return the fragment `#TAB`."""
        return f"#{name}"

    def variant(self, name: str) -> str:
        """Return the fragment `#variant/ID`, quoted."""
        return f"#variant/{quote(name, safe='')}"

    def diff_form(self) -> str:
        """Return the overview: the file can't compare any two variants."""
        return "#overview"

"""Addresses of pages: on a server, or inside one file."""

from urllib.parse import quote


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
        """Return the overview: the file has no list of runs, no comparison and no form."""
        return "#overview"

    compare = diff_form = home

    def tab(self, name: str) -> str:
        """Return the fragment `#TAB`."""
        return f"#{name}"

    def variant(self, name: str) -> str:
        """Return the fragment `#variant/ID`, quoted."""
        return f"#variant/{quote(name, safe='')}"

"""Addresses of pages: on a server, or inside one file."""

from urllib.parse import quote


class ServedLinks:
    """Addresses on a server.

    Args:
        run: name of the run
        prefix: path below which a reverse proxy shows this server, without a slash at its
            end
    """

    def __init__(self, run: str = "", prefix: str = "") -> None:
        self._prefix, self._run = prefix, f"{prefix}/run/{quote(run, safe='')}"

    def home(self) -> str:
        """Return `/`, the list of runs."""
        return f"{self._prefix}/"

    def static(self, name: str) -> str:
        """Return `/static/NAME`, a shipped file."""
        return f"{self._prefix}/static/{name}"

    def run(self) -> str:
        """Return `/run/RUN`."""
        return self._run

    def run_named(self, name: str) -> str:
        """Return `/run/NAME`, quoted."""
        return f"{self._prefix}/run/{quote(name, safe='')}"

    def compare(self) -> str:
        """Return `/compare`, which is not part of a run."""
        return f"{self._prefix}/compare"

    def tab(self, name: str) -> str:
        """Return `/run/RUN/TAB`; the overview is `/run/RUN` itself."""
        return self._run if name == "overview" else f"{self._run}/{name}"

    def variant(self, name: str) -> str:
        """Return `/run/RUN/variant/ID`, quoted."""
        return f"{self._run}/variant/{quote(name, safe='')}"

    def file(self, variant: str, path: str) -> str:
        """Return the address of a file of a variant, as text."""
        return f"{self.variant(variant)}/file?path={quote(path, safe='')}"

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

    def file(self, variant: str, path: str) -> str:
        """Return no address: `evolve checkout` writes whole files."""
        return ""

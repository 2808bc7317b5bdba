"""The command that installs an extra into this installation."""

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "evolutionary-code-search"


def pip_line(extra: str) -> str:
    """Return the command that installs an extra into this installation.

    Args:
        extra: Its name in pyproject.toml.

    Returns:
        A pip command, for the checkout if the package was installed from one.
    """
    try:
        origin = json.loads(
            distribution(DISTRIBUTION).read_text("direct_url.json") or "{}"
        )
    # the package is on sys.path, but not installed
    except PackageNotFoundError:
        origin = {}
    place = urlsplit(origin.get("url", ""))
    if place.scheme != "file" or "dir_info" not in origin:
        return f"pip install '{DISTRIBUTION}[{extra}]'"
    editable = "-e " if origin["dir_info"].get("editable") else ""
    return f"pip install {editable}{shlex.quote(f'{unquote(place.path)}[{extra}]')}"

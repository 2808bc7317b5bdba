"""Draws the pictures of README from a real run: `python docs/pictures.py` (chromium, chromedriver).

The terminal's tree becomes an SVG, the browser's page a PNG, from 300 variants of a shipped task
without a model. The run is repeatable: only what the views look like changes the pictures.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
EVOLVE = str(Path(sys.executable).parent / "evolve")
COLUMNS, WIDE, HIGH = 96, 1200, 680


def main() -> None:
    """Run, draw, write."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as runs:
        evolve(
            runs,
            "run",
            str(ROOT / "tasks" / "circle_packing"),
            "--name",
            "circles",
            "--seed",
            "4",
            "--max-variants",
            "300",
            "--window",
            "8",
            "--policy",
            "map_elites",
        )
        tree = evolve(runs, "tree", "circles", "--top", "6")
        (FOLDER / "tree.svg").write_text(drawn("evolve tree --top 6", tree))
        (FOLDER / "page.png").write_bytes(photographed(runs))


def evolve(runs: str, *words: str) -> str:
    """What the command line prints, as on a terminal with colours."""
    return subprocess.run(
        [EVOLVE, *words, "--runs-dir", runs],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)},
    ).stdout


def drawn(title: str, printed: str) -> str:
    """A terminal's window as SVG, without the fonts that rich would load from the internet."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True
    )
    console.print(Text.from_ansi(printed.rstrip()))
    return re.sub(
        r"@font-face \{.*?\}",
        "",
        console.export_svg(title=title, unique_id="evolve"),
        flags=re.DOTALL,
    )


def photographed(runs: str) -> bytes:
    """The first page of the run."""
    sys.path.insert(0, str(ROOT))
    from tests.browser import browsing

    server = subprocess.Popen(
        [EVOLVE, "serve", "circles", "--runs-dir", runs, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        address = re.search(r"http://\S+", server.stdout.readline())
        assert address is not None
        with browsing() as browser:
            browser.size(WIDE, HIGH)
            browser.open(address[0])
            browser.wait("document.querySelectorAll('canvas').length > 0")
            browser.driver.implicitly_wait(1)
            return browser.driver.get_screenshot_as_png()
    finally:
        server.terminate()
        server.communicate()


if __name__ == "__main__":
    main()

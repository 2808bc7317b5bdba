"""Writes docs/dependencies.md: what `pip install .` brings, with sizes and licences.

`.venv/bin/python docs/dependencies.py`, with `packaging` installed (pytest brings it).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

OURS = "evolutionary-code-search"
PAGE = Path(__file__).with_name("dependencies.md")


def required(name: str, seen: dict[str, Distribution]) -> dict[str, Distribution]:
    """Everything that a distribution needs here, itself included."""
    key = name.lower().replace("_", "-")
    if key not in seen:
        seen[key] = distribution(name)
        for text in seen[key].requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                required(needed.name, seen)
    return seen


def size_mb(found: Distribution) -> float:
    """Of its files on the disk."""
    paths = [Path(str(file.locate())) for file in found.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def licence(found: Distribution) -> str:
    """What it says of itself, in a few words."""
    about = found.metadata
    said = about.get("License-Expression") or ""
    classified = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or ()
        if line.startswith("License :: ")
    ]
    return (
        said
        or ", ".join(classified)
        or (about.get("License") or "not said").splitlines()[0][:60]
    )


def page() -> Iterator[str]:
    """The document."""
    direct = {
        Requirement(text).name.lower()
        for text in distribution(OURS).requires or ()
        if "extra" not in text
    }
    found = {
        name: found
        for name, found in sorted(required(OURS, {}).items())
        if name != OURS
    }
    total = sum(map(size_mb, found.values()))
    yield from (
        "# What it brings along",
        "",
        "Written by `python docs/dependencies.py`.",
        "",
        f"{len(direct)} packages are required, {len(found)} with all that they require, "
        f"{total:.0f} MB. Extras: litellm, torch, vllm, sentence-transformers, pandas, "
        "matplotlib.",
        "",
        "| package | version | MB | licence | required by us |",
        "| --- " * 5 + "|",
    )
    for name, each in found.items():
        yield (
            f"| {name} | {each.version} | {size_mb(each):.1f} | {licence(each)} | "
            f"{'yes' if name in direct else ''} |"
        )


if __name__ == "__main__":
    extra = len(list(distributions())) - len(required(OURS, {}))
    PAGE.write_text("\n".join(page()) + "\n")
    sys.stdout.write(f"{PAGE}; {extra} packages here are not needed by it\n")

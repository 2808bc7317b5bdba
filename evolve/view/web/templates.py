"""Templates, with everything escaped, and the words that they share."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from evolve import __version__
from evolve.text import one_line, visible

STATIC = Path(__file__).parent / "static"
_PICTURE = re.compile(
    r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]+\Z"
)
MOST_PICTURE_BYTES = 2_000_000


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Ours; a value that a template does not know is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("evolve.view.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "score": score,
        "short": short_score,
        "usd": dollars,
        "ago": duration,
        "visible": lambda text: visible(str(text)),
        "line": one_line,
        "bytes": size,
        "signed": signed,
        "picture": picture,
        "shade": shade,
    }
    made.globals |= {"version": __version__, "fingerprint": fingerprint}
    return made


def render(name: str, **values: Any) -> str:
    """One page."""
    return environment().get_template(name).render(**values)


def static_text(name: str) -> str:
    """One of the shipped files."""
    return (STATIC / name).read_text(encoding="utf-8")


@lru_cache(maxsize=32)
def fingerprint(name: str) -> str:
    """Changes when the file does, so that a browser never shows an old one."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def score(value: float | None) -> str:
    """At full precision."""
    return "–" if value is None else repr(value)


def short_score(value: float | None) -> str:
    """Six digits."""
    return "–" if value is None else f"{value:.6g}"


def signed(value: float | None) -> str:
    """A difference."""
    return "–" if value is None else f"{value:+.4g}"


def dollars(value: float) -> str:
    """As people write them."""
    return f"${value:.2f}" if value >= 1 else f"${value:.4f}"


def duration(seconds: float | None) -> str:
    """So long, in the two largest units."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def size(value: float) -> str:
    """Bytes, in MB from a million on."""
    return f"{value / 1e6:.0f} MB" if value >= 1e6 else f"{value / 1e3:.0f} kB"


def shade(value: float | None, low: float, high: float, maximize: bool = True) -> int:
    """0 (worst) to 9 (best), a class of the style sheet; the worst where there is none."""
    if value is None or not high > low:
        return 0
    share = (value - low) / (high - low)
    return max(0, min(9, int(10 * (share if maximize else 1 - share))))


def picture(value: Any) -> Markup | None:
    """An address for <img> when the value is a small picture, base64 and all; else None.

    An <img> runs no script, whatever an SVG holds.
    """
    if (
        not isinstance(value, str)
        or len(value) > MOST_PICTURE_BYTES
        or not _PICTURE.match(value)
    ):
        return None
    try:
        base64.b64decode(value.partition(",")[2])
    except binascii.Error:
        return None
    return Markup(value)

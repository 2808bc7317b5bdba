"""Page templates with automatic escaping, and the filters that they share."""

import base64
import binascii
import hashlib
import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.runtime import Context
from markupsafe import Markup

from evolve import __version__
from evolve.text import one_line, visible
from evolve.view.columns import View, columns_of

STATIC = Path(__file__).parent / "static"
_PICTURE = re.compile(
    r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]+\Z"
)
MOST_PICTURE_BYTES = 2_000_000


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Return the template environment.

    Returns:
        Built once; a template that uses an unknown value raises an error.
    """
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("evolve.view.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "score": score,
        "short": _short,
        "usd": dollars,
        "ago": duration,
        "visible": lambda text: visible(str(text)),
        "line": one_line,
        "bytes": size,
        "signed": signed,
        "date": date,
        "picture": picture,
        "shade": shade,
    }
    made.globals |= {
        "version": __version__,
        "fingerprint": fingerprint,
        "table_columns": lambda: columns_of(View.TABLE),
    }
    return made


def render(name: str, **values: Any) -> str:
    """Render one page.

    Args:
        name: file of the template
        values: values for the template

    Returns:
        HTML.
    """
    return environment().get_template(name).render(**values)


def static_text(name: str) -> str:
    """Return the text of a shipped file.

    Args:
        name: relative to static/

    Returns:
        Its content.
    """
    return (STATIC / name).read_text(encoding="utf-8")


@lru_cache(maxsize=32)
def fingerprint(name: str) -> str:
    """Return a hash of a shipped file, so that a browser never shows an old one.

    Args:
        name: relative to static/

    Returns:
        12 hexadecimal digits.
    """
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def score(value: float | None) -> str:
    """Return a score at full precision, or a dash."""
    return "–" if value is None else repr(value)


def short_score(value: float | None, digits: int = 6) -> str:
    """Return a score with some significant digits, or a dash."""
    return "–" if value is None else f"{value:.{digits}g}"


@jinja2.pass_context
def _short(context: Context, value: float | None) -> str:
    """Return a score with the digits that distinguish best and seed of the run."""
    return short_score(value, context.get("digits", 6))


def signed(value: float | None) -> str:
    """Return a difference with its sign, or a dash."""
    return "–" if value is None else f"{value:+.4g}"


def dollars(value: float) -> str:
    """Return dollars: with two decimals from one dollar, else with four."""
    return f"${value:.2f}" if value >= 1 else f"${value:.4f}"


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units.

    Args:
        seconds: the duration, or None

    Returns:
        Text; a dash for None.
    """
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


def date(moment: float | None) -> str:
    """Return a moment, in seconds since the epoch, in UTC to the minute; or a dash."""
    if moment is None:
        return "–"
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")


def size(value: float) -> str:
    """Return bytes in kB, or in MB from a million."""
    return f"{value / 1e6:.0f} MB" if value >= 1e6 else f"{value / 1e3:.0f} kB"


def shade(value: float | None, low: float, high: float, maximize: bool = True) -> int:
    """Return the class number of a score for the style sheet.

    Args:
        value: the score, or None
        low: lowest score shown
        high: highest score shown
        maximize: whether a higher score is better

    Returns:
        0 (worst) to 9 (best); 0 for None.
    """
    if value is None or not high > low:
        return 0
    share = (value - low) / (high - low)
    return max(0, min(9, int(10 * (share if maximize else 1 - share))))


def picture(value: Any) -> Markup | None:
    """Return the address of a small inline picture for <img>.

    An <img> runs no script, even if it shows an SVG.

    Args:
        value: a metric of the scorer

    Returns:
        The data URL; None if the value is not a valid Base64 picture.
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

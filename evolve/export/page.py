"""A page that needs no server: the same views, with the compressed data of the run.

The server's templates render the page of each variant. Pages are compressed in groups,
in lineage order, because neighbours are nearly the same; the browser decompresses those
that are opened.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from evolve.archive import State, Variant
from evolve.runs.reader import OpenRun
from evolve.text import Note
from evolve.view.web import pages, payload
from evolve.view.web.links import FileLinks
from evolve.view.web.relatives import PreloadedLineage
from evolve.view.web.templates import render, static_text

MOST_BYTES = 7_500_000  # of the whole page
TOGETHER = 40  # variants in a group
SCRIPTS = (
    "theme.js",
    "file.js",
    "vendor/uplot.min.js",
    "vendor/d3-hierarchy.min.js",
    "page.js",
    "charts.js",
    "tree.js",
    "map.js",
    "start.js",
)
STYLES = ("vendor/uplot.min.css", "app.css")


def render_page(run: OpenRun, tell: Note = lambda words: None) -> str:
    """Render the whole page.

    Variants that do not fit are left out, the least important ones first; the page
    shows their number.

    Args:
        run: the open run
        tell: called with progress messages

    Returns:
        HTML.
    """
    variants = run.browser.variants()
    data = {
        "tree": payload.tree_payload(run, variants),
        "curves": pages.curves(run),
        "map": payload.map_payload(run),
        "plane": payload.projection_payload(run),
    }
    packed = {
        name: _packed(json.dumps(found, separators=(",", ":")))
        for name, found in data.items()
    }
    room = MOST_BYTES - sum(map(len, packed.values())) - 200_000
    packs, places = _variants(run, variants, room, tell)
    packed["places"] = _packed(json.dumps(places, separators=(",", ":")))
    scripts = [static_text(name) for name in SCRIPTS]
    styles = [static_text(name) for name in STYLES]
    shown = pages.overview(run)
    shown["status"] |= {
        "state": "an export" if shown["status"]["state"] != "running" else "so far"
    }
    return render(
        "file.html",
        title=run.folder.name,
        page="overview",
        run_name=run.folder.name,
        crumb="",
        best_id=run.leader.id if run.leader else None,
        link=FileLinks(),
        scripts=[Markup(text) for text in scripts],
        styles=[Markup(text) for text in styles],
        policy=_policy(scripts, styles),
        packed=packed,
        packs=packs,
        left_out=len(variants) - len(places),
        **shown,
        **{k: v for k, v in pages.case_matrix(run).items() if k != "task"},
    )


def _variants(
    run: OpenRun, variants: Sequence[Variant], room: int, tell: Note
) -> tuple[list[str], dict[str, list[int]]]:
    """Return compressed groups, and each variant's group and place in it."""
    packs: list[str] = []
    kin = PreloadedLineage(run, variants)
    places: dict[str, list[int]] = {}
    for group in _in_packs(_by_importance(run, variants)):
        texts = [
            render(
                "_variant.html",
                link=FileLinks(),
                run_name=run.folder.name,
                page="variant",
                **pages.variant(run, run.proposal(variant.id), kin),
            )
            for variant in group
        ]
        tell(f"{len(places)} of {len(variants)} variants")
        pack = _packed(json.dumps(texts, separators=(",", ":")))
        room -= len(pack) + 60
        if room < 0:
            break
        places |= {
            variant.id: [len(packs), place] for place, variant in enumerate(group)
        }
        packs.append(pack)
    return packs, places


def _by_importance(run: OpenRun, variants: Sequence[Variant]) -> list[list[Variant]]:
    """Return the lineages of the best variants, other scored ones, and the rest."""
    top = [ranked.id for ranked in run.best(200)]
    first = run.lineage.ancestors(top)
    order = _by_descent(variants)
    return [
        [n for n in order if n.id in first],
        [n for n in order if n.id not in first and n.state == State.SCORED.value],
        [n for n in order if n.id not in first and n.state != State.SCORED.value],
    ]


def _by_descent(variants: Sequence[Variant]) -> list[Variant]:
    """Return parents before children, with siblings together."""
    known = {variant.id for variant in variants}
    below: dict[str, list[Variant]] = {}
    for variant in variants:
        parent = variant.parent if variant.parent in known else None
        below.setdefault(parent or "", []).append(variant)
    order, waiting = [], list(reversed(below.get("", [])))
    while waiting:
        variant = waiting.pop()
        order.append(variant)
        waiting += reversed(below.get(variant.id, []))
    return order


def _in_packs(groups: Sequence[Sequence[Variant]]) -> Iterator[Sequence[Variant]]:
    for group in groups:
        for start in range(0, len(group), TOGETHER):
            yield group[start : start + TOGETHER]


def _packed(text: str) -> str:
    """Compress a text with gzip and encode it as Base64."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return a security policy that allows only these scripts and fetches nothing."""

    def hashes(texts: Sequence[str]) -> str:
        return " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in texts
        )

    return (
        f"default-src 'none'; script-src {hashes(scripts)}; style-src {hashes(styles)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )

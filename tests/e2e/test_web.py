"""Every page in a real browser, over a run of 5,000 variants whose every text is hostile."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from evolve.archive import derive_id
from tests.browser import Browser, browsing
from tests.cli import EVOLVE, evolve
from tests.made_runs import Made, make_run
from tests.serving import serving

VARIANTS = 5000
PAGES = ("", "/tree", "/map", "/cases")


class Site(NamedTuple):
    """A server over a folder of runs."""

    address: str
    runs: Path

    def page(self, path: str = "", run: str = "hostile") -> str:
        return f"{self.address}run/{run}{path}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    runs = tmp_path_factory.mktemp("web") / "runs"
    make_run(runs, "hostile", Made(VARIANTS, hostile=True))
    make_run(runs, "cases", Made(80, seed=3, cases=12))
    make_run(runs, "other", Made(80, seed=4, cases=12))
    with serving(runs) as address:
        yield Site(address, runs)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture
def seen(browser: Browser, site: Site) -> Iterator[Browser]:
    """At the end: no error in the console, nothing was asked of anybody else, nothing ran."""
    browser.complaints(), browser.requests()
    browser.size(1280, 900)
    yield browser
    assert browser.complaints() == []
    assert browser.run("return window.hacked") is None
    allowed = (
        site.address,
        "data:",
        "blob:",
        "file:",
        "about:",
        "chrome://",
        "chrome-untrusted://",
    )  # the browser's own first tab
    assert [url for url in browser.requests() if not url.startswith(allowed)] == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("path", PAGES)
def test_each_page_fits_and_is_quiet(
    seen: Browser, site: Site, path: str, width: int
) -> None:
    seen.size(width, 844)
    seen.open(site.page(path))
    seen.wait("document.readyState === 'complete'")
    if path in ("/tree", "/map"):
        seen.wait("document.body.dataset.ready")
    if not path:
        seen.wait("document.querySelectorAll('canvas').length === 3")
    assert seen.run("return document.documentElement.scrollWidth") <= width
    assert "Traceback" not in seen.run("return document.body.innerText")


def test_the_first_page_is_small_and_quick(site: Site) -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        with urllib.request.urlopen(site.page()) as reply:
            page = reply.read()
        times.append(time.perf_counter() - began)
    assert min(times) < 0.1  # the first one of a run reads it; these do not
    assert len(page) < 300_000
    total = len(page) + sum(
        len(urllib.request.urlopen(site.page(p)).read()) for p in ("/curves.json",)
    )
    assert total < 300_000


def test_search_finds_and_the_keyboard_walks(seen: Browser, site: Site) -> None:
    seen.open(site.page("/tree"))
    seen.wait("document.body.dataset.ready === 'tree'")
    assert "of 4," in seen.run(
        "return document.getElementById('tree-count').textContent"
    )
    wanted = derive_id(0, 0)
    seen.run(
        "const s = document.getElementById('tree-search'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input'))",
        wanted,
    )
    seen.wait("document.getElementById('tree-list-title').textContent === '1 found'")
    assert seen.run("return document.querySelector('#tree-list a').href").endswith(
        wanted
    )
    seen.run(
        "const s = document.getElementById('tree-search'); s.value = 'timeout <1';"
        "s.dispatchEvent(new Event('input'))"
    )
    seen.wait("document.getElementById('tree-list-title').textContent === '0 found'")
    seen.run(
        "const s = document.getElementById('tree-search'); s.value = '';"
        "s.dispatchEvent(new Event('input'))"
    )
    seen.wait("document.getElementById('tree-list-title').textContent === 'The best'")
    seen.run(
        "const c = document.getElementById('tree'); c.focus();"
        "for (const key of ['ArrowRight', 'ArrowLeft', 'ArrowLeft']) "
        "c.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))"
    )
    assert (
        len(seen.run("return document.querySelector('#tree-picked b').textContent"))
        == 16
    )
    facts = seen.run("return document.querySelector('#tree-picked .hint').textContent")
    assert re.fullmatch(r"#\d+ · \w+ · \S+ · island \d+ · \d+ children", facts), facts
    seen.run(
        "document.getElementById('tree').dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))"
    )
    seen.wait("document.querySelector('article[data-variant]')")


def test_everything_at_once_is_drawn_in_a_blink(seen: Browser, site: Site) -> None:
    seen.open(site.page("/tree"))
    seen.wait("document.body.dataset.ready === 'tree'")
    took = seen.run(
        "document.getElementById('tree-show').value = 'all'; Evolve.tree.arrange();"
        "const began = performance.now(); for (let i = 0; i < 9; i++) Evolve.tree.render();"
        "document.getElementById('tree').getContext('2d').getImageData(0, 0, 1, 1);"
        "return (performance.now() - began) / 9"
    )
    assert seen.run("return Evolve.tree.count()") > 4000
    assert took < 150  # without a graphics card, and beside other tests


def test_a_variant_shows_all_and_none_of_it_runs(seen: Browser, site: Site) -> None:
    best = evolve("best", "hostile", "--runs-dir", site.runs, "--json").json()["id"]
    seen.open(site.page(f"/variant/{best}"))
    seen.wait("document.querySelectorAll('.codebox').length >= 2")
    text = seen.run("return document.body.innerText")
    assert (
        "<script>window.hacked=1</script>" in text
        and "␛[31m" in text
        and "‹U+202E›" in text
    )
    assert (
        seen.run("return document.querySelectorAll('main script, main img').length")
        == 0
    )
    seen.run(
        "document.querySelector('.difform input[name=old]').value = arguments[0];"
        "document.querySelector('.difform').submit()",
        derive_id(0, 0)[:9],
    )
    seen.wait("location.pathname.endsWith('/diff')")
    assert seen.run("return document.querySelectorAll('tr.add').length") > 0


def test_maps_cases_and_comparison(seen: Browser, site: Site) -> None:
    seen.open(site.page("/map"))
    seen.wait("document.body.dataset.ready === 'map'")
    assert "cells filled" in seen.run(
        "return document.getElementById('map-facts').textContent"
    )
    seen.run("document.querySelector('[data-map=plane]').click()")
    seen.wait("document.body.dataset.plane")
    assert "variants; the plane" in seen.run(
        "return document.getElementById('map-facts').textContent"
    )
    seen.open(site.page("/cases", "cases"))
    assert seen.run("return document.querySelectorAll('.matrix td.c').length") > 100
    seen.open(f"{site.address}compare?run=cases&run=other&by=calls")
    seen.wait("document.body.dataset.ready === 'compare'")
    assert seen.run("return document.querySelectorAll('canvas').length") == 1


def test_dark_and_light(seen: Browser, site: Site) -> None:
    seen.open(site.page())
    before = seen.run("return getComputedStyle(document.body).backgroundColor")
    seen.run("document.getElementById('theme').click()")
    assert seen.run("return getComputedStyle(document.body).backgroundColor") != before


def test_news_of_a_live_run_arrive(seen: Browser, site: Site, steps_task: Path) -> None:
    run = subprocess.Popen(
        [
            EVOLVE,
            "run",
            str(steps_task),
            "--sandbox",
            "local",
            "--name",
            "live",
            "--max-variants",
            "5000",
            "--runs-dir",
            str(site.runs),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not (site.runs / "live" / "run.toml").is_file():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        seen.open(site.page(run="live"))
        tile = "Number(document.querySelector('[data-live=variants]').textContent)"
        before = seen.run(f"return {tile}")
        seen.wait(f"{tile} > {before + 5}", 60)
        assert (
            seen.run("return document.querySelector('[data-live=state]').textContent")
            == "running"
        )
        assert seen.run("return document.getElementById('latest').rows.length") > 3
        newest = "document.getElementById('latest').rows[0].cells"
        number = int(seen.run(f"return {newest}[0].textContent"))
        address = seen.run(f"return {newest}[1].querySelector('a').href")
        assert number > before and "/run/live/variant/" in address
        seen.open("about:blank")
    finally:
        run.terminate()
        run.wait(60)


def test_the_export_opens_from_the_disk(
    seen: Browser, site: Site, tmp_path: Path
) -> None:
    made = tmp_path / "cases.html"
    done = evolve("export", "cases", "--runs-dir", site.runs, "--html", made)
    assert done.code == 0, done.err
    seen.open(made.as_uri())
    seen.wait("document.querySelectorAll('canvas').length >= 3")
    seen.open(made.as_uri() + "#tree")
    seen.wait("document.body.dataset.ready === 'tree'")
    seen.open(made.as_uri() + "#map")
    seen.wait("document.body.dataset.ready === 'map'")
    seen.open(made.as_uri() + f"#variant/{derive_id(3, 0)}")
    seen.wait("document.querySelector('article[data-variant]')")
    assert seen.run(
        "return document.querySelector('#variant h1').textContent"
    ) == derive_id(3, 0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_export_of_5000_hostile_variants(
    seen: Browser, site: Site, tmp_path: Path
) -> None:
    made = tmp_path / "all.html"
    done = evolve("export", "hostile", "--runs-dir", site.runs, "--html", made)
    assert done.code == 0, done.err
    assert made.stat().st_size < 8_000_000
    seen.open(made.as_uri() + f"#variant/{derive_id(0, 0)}")
    seen.wait("document.querySelector('article[data-variant]')")
    seen.open(made.as_uri() + "#tree")
    seen.wait("document.body.dataset.ready === 'tree'")


def test_a_run_that_was_just_made_has_pages(seen: Browser, site: Site) -> None:
    make_run(site.runs, "fresh", Made(-1))
    for path in PAGES:
        seen.open(site.page(path, "fresh"))
        seen.wait("document.readyState === 'complete'")
        assert "fresh" in seen.run("return document.title")
    assert "No variant is scored yet" in seen.run("return document.body.innerText")

"""Pages say what is true: digits, times, connections, addresses, and files of any size."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolve.runs.folder import open_run
from evolve.runs.reader import OpenRun
from evolve.runs.working_time import working_time
from evolve.view.web.library import RunCache
from evolve.view.web.listing import A_PAGE, listing
from tests.browser import Browser, browsing
from tests.cli import EVOLVE, evolve
from tests.made_runs import BEGAN, Made, make_run
from tests.serving import serving

BIG = 123_456_789.0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth") / "runs"
    make_run(folder, "small gains", Made(60, seed=5))
    _scale(folder / "small gains", BIG)
    make_run(folder, "plain", Made(60, seed=6))
    return folder


def _scale(run: Path, base: float) -> None:
    """Scores around a large number, with gains that show in the tenth digit."""
    with sqlite3.connect(run / "archive.db") as connection:
        connection.execute("UPDATE evaluations SET score = ? + score / 10", (base,))
    connection.close()


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    with serving(runs) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


def get(address: str, **headers: str) -> str:
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        return str(reply.read().decode())


def refused(address: str, **headers: str) -> tuple[int, str]:
    """Status and text of an answer that is an error."""
    with pytest.raises(urllib.error.HTTPError) as error:
        get(address, **headers)
    with error.value as reply:
        return error.value.code, reply.read().decode()


def test_the_best_is_told_from_the_seed(address: str, runs: Path) -> None:
    page = get(f"{address}run/small%20gains")
    best = re.search(r'data-live="best"[^>]*>([^<]+)<', page)
    seed = re.search(r"seed ([0-9.]+)", page)
    assert best and seed and float(best[1]) != float(seed[1])
    rows = evolve("tree", runs / "small gains", "--json", "--runs-dir", runs).json()
    top = max(row["score"] for row in rows if row["score"] is not None)
    gain = float(best[1]) - float(seed[1])
    assert gain == pytest.approx(top - rows[0]["score"], rel=0.05)
    curves = json.loads(get(f"{address}run/small%20gains/curves.json"))
    assert curves["best"][-1] == top and curves["seed"] == rows[0]["score"]
    led = [n for n, name in zip(curves["n"], curves["id"], strict=True) if name]
    assert list(map(str, led)) == list(curves["steps"]) and len(led) > 2
    assert all(curves["steps"][str(n)]["lines"] for n in led if n)


def test_the_axis_shows_small_gains(browser: Browser, address: str) -> None:
    browser.open(f"{address}run/small%20gains")
    browser.wait("document.querySelectorAll('#chart-best canvas').length === 1")
    ticks = browser.run("return Evolve.ticks([123456789, 123456789.1, 123456789.2])")
    assert len(set(ticks)) == 3
    assert browser.run("return Evolve.text(2.9999999) !== Evolve.text(3)")
    browser.run("document.querySelector('[data-y=gap]').click()")
    browser.wait("location.search.includes('y=gap')")
    browser.run("history.back()")
    browser.wait("document.querySelector('[data-y=score]').ariaPressed === 'true'")
    assert browser.complaints() == []


def test_colours_of_scores_are_no_colours_of_code(
    browser: Browser, address: str
) -> None:
    browser.open(f"{address}run/plain")
    shown = browser.run(
        "const box = document.createElement('div'); box.className = 'codebox';"
        "const word = document.createElement('i'); word.className = arguments[0];"
        "box.append(word); document.body.append(box);"
        "return getComputedStyle(word).backgroundColor",
        "s1",
    )
    assert shown == "rgba(0, 0, 0, 0)"


def test_what_was_chosen_stands_in_the_address(browser: Browser, address: str) -> None:
    browser.open(f"{address}run/plain/tree")
    browser.wait("document.body.dataset.ready === 'tree'")
    browser.run(
        "const l = document.getElementById('tree-layout'); l.value = 'radial';"
        "l.dispatchEvent(new Event('change'));"
        "const s = document.getElementById('tree-search'); s.value = '>1.2';"
        "s.dispatchEvent(new Event('input'))"
    )
    link = browser.run("return location.href")
    assert "layout=radial" in link and "find=" in link
    browser.open("about:blank")
    browser.open(link)  # as a colleague opens it
    browser.wait("document.body.dataset.ready === 'tree'")
    assert (
        browser.run("return document.getElementById('tree-layout').value") == "radial"
    )
    browser.wait(
        "document.getElementById('tree-list-title').textContent.includes('found')"
    )


@pytest.mark.slow
def test_an_ended_run_holds_no_connection(browser: Browser, address: str) -> None:
    """A browser has six connections to a server: the seventh tab would never load."""
    tabs = []
    for _ in range(7):
        browser.driver.switch_to.new_window("tab")
        browser.driver.set_page_load_timeout(20)
        browser.open(f"{address}run/plain")
        tabs.append(browser.driver.current_window_handle)
        browser.wait("document.querySelectorAll('#chart-best canvas').length === 1")
    for tab in tabs:
        browser.driver.switch_to.window(tab)
        browser.driver.close()
    browser.driver.switch_to.window(browser.driver.window_handles[0])
    assert json.loads(get(f"{address}run/plain/news.json?after=0"))["running"] is False
    stream = get(f"{address}run/plain/live?after=0")  # it ends by itself
    assert '"running": false' in stream


@pytest.mark.slow
def test_a_lost_connection_is_shown(browser: Browser, runs: Path) -> None:
    with serving(runs) as address:
        browser.open(f"{address}run/plain/tree")
        browser.wait("document.body.dataset.ready === 'tree'")
    browser.run(
        "Object.defineProperty(document, 'hidden', {get: () => false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    browser.wait("!document.getElementById('stale').hidden")
    assert "no connection" in browser.run(
        "return document.getElementById('stale').textContent"
    )
    browser.complaints()


def test_pauses_are_no_work(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "plain", tmp_path / "runs" / "paused")
    with sqlite3.connect(run / "archive.db") as connection:
        (last,) = connection.execute("SELECT max(at) FROM events").fetchone()
        for at, kind in ((7200.0, "started"), (7221.0, "stopped")):
            connection.execute(
                "INSERT INTO events (at, kind, data) VALUES (?, ?, ?)",
                (last + at, kind, '{"sandbox": "local", "reason": "done"}'),
            )
    connection.close()
    found = OpenRun(open_run(run.parent, "paused"))
    worked = working_time(found.archive, live=False)
    assert worked.total == pytest.approx(last - BEGAN + 21.0, abs=3.0)
    assert worked.until(last + 3600.0) == pytest.approx(last - BEGAN, abs=3.0)
    found.close()


@pytest.mark.parametrize("strips", [True, False])
def test_pages_below_a_path_of_a_proxy(runs: Path, strips: bool) -> None:
    """Some proxies take the prefix away before they ask, others do not."""
    options = ("--prefix", "/user/me/evolve", "--name", "hub.example")
    with serving(runs, *options) as address:
        assert address.endswith("/user/me/evolve/")
        host = {"Host": "hub.example:8443"}
        base = address.replace("/user/me/evolve/", "" if strips else "/user/me/evolve")
        for path in ("/", "/run/plain", "/run/plain/tree", "/compare"):
            page = get(base + path, **host)
            links = re.findall(r'(?:href|src|action|data-base)="(/[^"]*)"', page)
            assert links and all(link.startswith("/user/me/evolve") for link in links)
        assert get(base + "/run/plain/tree.json", **host).startswith("{")
        code, text = refused(base + "/", Host="elsewhere.example")
        assert code == 421 and "evolve serve --name" in text


def test_a_folder_of_many_runs_is_read_once(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    for number in range(30):
        shutil.copytree(runs / "plain", folder / f"run-{number:02d}")
    library = RunCache(folder)
    first = library.rows()
    again = library.rows()
    assert all(row is known for row, known in zip(again, first, strict=True))
    with sqlite3.connect(folder / "run-07/archive.db") as connection:
        connection.execute("UPDATE evaluations SET score = score + 1")
    connection.close()
    changed = [
        row
        for row, known in zip(library.rows(), first, strict=True)
        if row is not known
    ]
    assert [row["run"] for row in changed] == ["run-07"]
    library.close()


def test_the_list_is_searched_sorted_and_paged() -> None:
    rows: list[dict[str, Any]] = [
        {"run": f"r{n}", "task": "t" if n % 2 else "u", "state": "stopped", "best": n}
        for n in range(A_PAGE * 2 + 10)
    ]
    rows.append({"run": "broken", "error": "damaged", "best": None})
    shown = listing(rows, {"sort": "best", "up": "1"})
    assert shown["rows"][0]["run"] == "r0" and shown["pages"] == 3
    last = listing(rows, {"sort": "best", "up": "1", "page": "99"})
    assert last["rows"][-1]["run"] == "broken", "what has no value comes last"
    found = listing(rows, {"q": "U r1"})["rows"]
    assert found and all(row["task"] == "u" and "r1" in row["run"] for row in found)
    assert listing(rows, {"sort": "no", "page": "x"})["number"] == 1


@pytest.mark.slow
def test_long_files_are_folded_and_a_link_away(
    browser: Browser, tmp_path: Path
) -> None:
    task = tmp_path / "task"
    (task / "initial").mkdir(parents=True)
    (task / "initial/program.py").write_text("def f():\n    return 1.5\n")
    (task / "initial/table.py").write_text(
        "ROW = '" + "x" * 290_000 + "'\n" + "A = 1\n" * 8000
    )
    (task / "evaluate.py").write_text(
        "def evaluate(candidate, case):\n    return candidate.call('f')\n"
    )
    (task / "task.toml").write_text(
        'name = "long"\ndescription = "A large number."\nentry = "program.py"\n'
        'editable = ["program.py"]\n'
    )
    done = evolve(
        "run",
        task,
        "--max-variants",
        5,
        "--sandbox",
        "local",
        "--name",
        "r",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    best = evolve("best", "r", "--json", cwd=tmp_path).json()["id"]
    with serving(tmp_path / "runs") as address:
        began = time.monotonic()
        browser.open(f"{address}run/r/variant/{best}")
        assert time.monotonic() - began < 20
        assert browser.run("return document.documentElement.scrollHeight") < 20_000
        page = get(f"{address}run/r/variant/{best}")
        assert "more lines" in page and len(page) < 400_000
        whole = get(f"{address}run/r/variant/{best}/file?path=table.py")
        assert len(whole) > 290_000 + 8000 * 6
        assert (
            refused(f"{address}run/r/variant/{best}/file?path=../task.toml")[0] == 404
        )


@pytest.mark.slow
def test_a_tree_of_a_live_run_says_what_is_new(
    browser: Browser, steps_task: Path, tmp_path: Path
) -> None:
    command = [EVOLVE, "run", steps_task, "--sandbox", "local", "--name", "live"]
    limits = ["--max-variants", "5000", "--runs-dir", tmp_path / "runs"]
    run = subprocess.Popen(
        list(map(str, command + limits)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "runs/live/run.toml").is_file():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with serving(tmp_path / "runs") as address:
            browser.open(f"{address}run/live/tree")
            browser.wait("document.body.dataset.ready === 'tree'")
            browser.wait("!document.getElementById('newer').hidden", 60)
            before = browser.run(
                "return document.getElementById('tree-count').textContent"
            )
            browser.run("document.querySelector('#newer button').click()")
            browser.wait("document.body.dataset.ready === 'tree'")
            count = "document.getElementById('tree-count').textContent"
            browser.wait(f"{count} && {count} !== {before!r}")
            browser.open("about:blank")
    finally:
        run.terminate()
        run.wait(60)
    browser.complaints()

"""Makes the cases: mutants of published packages whose own tests notice the change.

    python factory.py --unsandboxed [--count 60] [--seed 1] [-o mutants.json]

NO SANDBOX: it runs the packages' code and tests, mutated, on this machine, as you, with your files and
network. There is a temporary folder and limits of memory, time and file size; modules that handle files
are left out. None of that holds back a mutant that does harm, so it must be told: --unsandboxed. Run it in
a container or a virtual machine that holds nothing of value. Scoring the cases needs none of this.
"""

import argparse
import ast
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from changes import changes
from sources import PACKAGES, TEST_PACKAGES, UNTOUCHED, cache_folder, is_source, tree
from suite import INI, RUNNER, order, read, tests_of

PATIENCE_S = 30
MOST_FAILING = 8  # test functions: a change that breaks everything is no puzzle
REPORT_CHARS = 1500
PYTHON = "{}.{}".format(*sys.version_info)


def make(count, seed, tell):
    """Cases, as many of each package; `tell` is called with a line now and then."""
    site = _site()
    cases, suites = [], {}
    with ThreadPoolExecutor(2) as pool:
        for number, name in enumerate(PACKAGES):
            wanted = count // len(PACKAGES) + (number < count % len(PACKAGES))
            found = _of_package(name, wanted, random.Random(f"{seed}:{name}"), site, pool, suites, tell)
            cases += found
    return {"python": PYTHON, "suites": suites, "cases": cases}


def _of_package(name, wanted, rng, site, pool, suites, tell):
    files = tree(name)
    places = [path for path in sorted(files) if is_source(name, path) and not UNTOUCHED.search(path)
              and tests_of(name, files, path)]
    possible = [(path, change) for path in places for change in changes(files[path].decode())]
    rng.shuffle(possible)
    found, tried, started = [], 0, time.monotonic()
    while possible and len(found) < wanted:
        batch, possible = possible[:8], possible[8:]
        tried += len(batch)
        for path, _ in batch:
            _whole(name, path, files, suites, site)
        found += [case for case in pool.map(
            lambda one: _case(name, files, *one, suites, site), batch) if case is not None]
        tell(f"{name}: {min(len(found), wanted)} of {wanted} cases from {tried} changes, "
             f"{time.monotonic() - started:.0f} s")
    return found[:wanted]


def _whole(name, path, files, suites, site):
    """What the unchanged suite says, kept; tests that do not always pass are no witnesses."""
    tests = tests_of(name, files, path)
    key = " ".join([name, *tests])
    if key not in suites:
        runs = [_run(name, files, tests, site) for _ in range(2)]
        if None in runs:
            raise RuntimeError(f"the unchanged tests of {name} can't be run: {tests}")
        suites[key] = {test: ended[1] for test, ended in runs[0].ended.items()
                       if ended[0] == "passed" and runs[1].ended.get(test) == ended}
    return suites[key]


def _case(name, files, path, change, suites, site):
    """A case, if a few tests notice the change."""
    try:
        text = change.apply(files[path].decode())
        ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    tests = tests_of(name, files, path)
    whole = _whole(name, path, files, suites, site)
    said = _run(name, {**files, path: text.encode()}, tests, site)
    if said is None or any(outcome == "broken" for outcome, _ in said.ended.values()):
        return None
    failing = sorted(test for test in whole if said.ended.get(test) != ("passed", whole[test]))
    reports = [[test, report] for test, report in said.said if test in failing]
    if not reports or len(failing) > MOST_FAILING:
        return None
    return {"package": name, "path": path, "change": list(change), "failing": failing,
            "report": _in_short(reports[0])}


def _in_short(report):
    """A test's name, its failing line and the error, as pytest tells them."""
    lines = [line for line in report[1].splitlines() if line[:1] in (">", "E")]
    return f"{report[0]}\n" + "\n".join(lines)[:REPORT_CHARS]


def _run(name, files, tests, site):
    """What the runner said; None when it did not come to its end."""
    with tempfile.TemporaryDirectory(prefix="evolve-mutant-") as folder:
        for path, content in {**files, "graded.ini": INI.encode()}.items():
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        text, nonce = order(name, folder, tests, [site])
        try:
            done = subprocess.run([sys.executable, "-I", "-B", "-c", RUNNER], input=text, cwd=folder,
                                  capture_output=True, timeout=PATIENCE_S, preexec_fn=_limit,
                                  env={"HOME": folder, "TMPDIR": folder, "PATH": "/usr/bin:/bin",
                                       "LANG": "C.UTF-8"}, check=False)
        except subprocess.TimeoutExpired:
            return None
    return read(done.stdout, nonce)


def _limit():
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 20, 16 << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE_S, PATIENCE_S))


def _site():
    """A kept folder with what the suites need."""
    target = cache_folder() / ("site-" + "-".join(TEST_PACKAGES).replace("==", "_"))
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as staging:
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:",
                            "--target", f"{staging}/site", *TEST_PACKAGES], check=True)
            Path(f"{staging}/site").replace(target)
    return str(target)


def main():
    """Write the cases to a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("mutants.json"))
    parser.add_argument("--unsandboxed", action="store_true",
                        help="mutants may run on this machine, as you")
    given = parser.parse_args()
    if not given.unsandboxed:
        parser.error("it runs mutated packages on this machine, as you, without a sandbox: say that this "
                     "is meant with --unsandboxed, best in a container")
    made = make(given.count, given.seed, lambda line: sys.stderr.write(line + "\n"))
    given.output.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()

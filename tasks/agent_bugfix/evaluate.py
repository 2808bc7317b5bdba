"""Fixing a bug: a published package with one small change that its own tests notice.

The produced source files, and nothing else, go back into the package as published, with all its tests,
in a folder that is written anew. See README.md for what keeps the result honest, and what does not.
"""

import ast
import functools
import io
import json
import random
import secrets
import sys
import tarfile
from pathlib import Path

from changes import Change
from evolve import CandidateError
from screen import reaches_for
from sources import PACKAGES, is_source, tree
from suite import INI, RUNNER, order, read, test_files, tests_of

GRADED = "graded"
SUITE_S = 60
# Wipes what the agent left behind, and unpacks our files; nothing of the agent's has run by then.
UNPACK = f"""
import io, os, shutil, sys, tarfile
for name in os.listdir("."):
    shutil.rmtree(name) if os.path.isdir(name) and not os.path.islink(name) else os.remove(name)
tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())).extractall("{GRADED}")
print(os.path.abspath("{GRADED}"))
"""
STATEMENT = """The folder holds a Python package, {package}, that has a bug: a test fails. It is not among the
tests here. This is what it said:

{report}

Find the bug and fix it in the package's own source files. Only these count: tests, settings and new files
are thrown away, and the whole suite of the package is run on your sources. A fix needs no new import, and
nothing that looks at the interpreter; files with such things are turned away.

Run tests here like this: PYTHONPATH={root} python3 -m pytest -q {tests}
"""


def cases():
    """As `mutants.json` has them, in turn from each package of a split."""
    made = _made()
    version = "{}.{}".format(*sys.version_info)
    if made["python"] != version:
        raise RuntimeError(f"mutants.json was made with Python {made['python']}, this is {version}; "
                           "make it anew: python factory.py --unsandboxed")
    numbered, found = {}, []
    for one in made["cases"]:
        number = numbered[one["package"]] = numbered.get(one["package"], 0) + 1
        found.append((number, {"id": f"{one['package']}-{number}",
                               "split": PACKAGES[one["package"]].split, "params": one}))
    return [case for _, case in sorted(found, key=lambda pair: pair[0])]


def workspace(case):
    """The broken package with the tests that pass all the same."""
    bug = case.params
    package, files = bug["package"], tree(bug["package"])
    tests = tests_of(package, files, bug["path"])
    others = set(test_files(files)) - set(tests)
    shown = {path: data for path, data in files.items() if path not in others}
    shown[bug["path"]] = broken(bug).encode()
    for path in tests:
        shown[path] = without(shown[path].decode(), _functions(bug["failing"], path)).encode()
    statement = STATEMENT.format(package=package, report=bug["report"], tests=" ".join(tests),
                                 root=PACKAGES[package].root or ".")
    return {"statement": statement, "files": shown}


def evaluate(candidate, case):
    """1 when the package's whole suite passes with the produced sources, else 0."""
    bug = case.params
    published = tree(bug["package"])
    taken = {path: candidate.files.get(path, b"") for path in published if is_source(bug["package"], path)}
    problem, flags = _screened(bug, published, taken)
    if problem is not None:
        return {"score": 0.0, "feedback": f"{case.id}: {problem}",
                "metrics": {"flags": " ".join(flags)} if flags else {}}
    return _graded(candidate, case, published | taken)


def broken(bug):
    """The source file with its bug."""
    return Change(*bug["change"]).apply(tree(bug["package"])[bug["path"]].decode())


def without(text, functions):
    """A test file without some of its functions, given as "name" or "Class::name"."""
    lines, cut = text.split("\n"), []
    for node, owner in _owned(ast.parse(text)):
        if "::".join([*owner, node.name]) in functions:
            first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            cut.append((first - 1, node.end_lineno, node.col_offset))
    for start, end, indent in sorted(cut, reverse=True):
        lines[start:end] = [" " * indent + "pass"]
    return "\n".join(lines)


def _owned(module):
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node, ()
        elif isinstance(node, ast.ClassDef):
            yield from ((inner, (node.name,)) for inner in node.body
                        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)))


def _functions(failing, path):
    """Those of a file, as `without` takes them."""
    return {name.partition("::")[2] for name in failing if name.partition("::")[0] == path}


def _screened(bug, published, taken):
    """What is wrong with the sources before they are run, and flags; (None, []) for nothing."""
    for path, content in taken.items():
        known = [published[path].decode()] + ([broken(bug)] if path == bug["path"] else [])
        try:
            found = reaches_for(content.decode(), *known) if content.decode() not in known else []
        except (SyntaxError, ValueError, RecursionError):
            return f"{path} is no Python file any more", []
        if found:
            return f"{path} was turned away: a fix does not need {', '.join(found)[:200]}", ["machinery"]
    return None, []


def _graded(candidate, case, files):
    bug = case.params
    tests = tests_of(bug["package"], files, bug["path"])
    watch = _canaries(bug, tests)
    packed = _packed(files | watch.files | {"graded.ini": INI.encode()})
    try:
        done = candidate.run(["python3", "-I", "-c", UNPACK], packed)
        root = done.stdout.decode().strip()
        text, nonce = order(bug["package"], root, [*tests, *watch.files])
        done = candidate.run(["python3", "-P", "-s", "-B", "-c", RUNNER], text, timeout_s=SUITE_S)
    except CandidateError as error:
        return {"score": 0.0, "feedback": f"{case.id}: the suite did not come to its end: {error.reason}"}
    said = read(done.stdout, nonce)
    if said is None:
        return {"score": 0.0, "feedback": f"{case.id}: the suite did not come to its end"}
    return _judged(bug, case, tests, said.ended, watch)


def _judged(bug, case, tests, ended, watch):
    """Every test must have passed as often as in the published package, and every canary as it must."""
    if any(ended.get(name, ("missing", 0))[0] != outcome for name, outcome in watch.expected.items()):
        return {"score": 0.0, "metrics": {"flags": "canary"},
                "feedback": f"{case.id}: a test that shows forged results ended as it can't"}
    whole = _made()["suites"][" ".join([bug["package"], *tests])]
    failed = sum(ended.get(name) != ("passed", count) for name, count in whole.items())
    return {"score": float(failed == 0), "metrics": {"failed_tests": failed, "tests": len(whole)},
            "feedback": f"{case.id}: " + (f"{failed} of {len(whole)} tests fail" if failed else "fixed")}


class _Canaries:
    """Test files of random names, and how their tests must end."""

    def __init__(self):
        self.files, self.expected = {}, {}


def _canaries(bug, tests):
    """Tests that must fail, and tests that must pass, alike but for what they compare with."""
    package = PACKAGES[bug["package"]]
    module = bug["path"].removeprefix(package.root + "/" if package.root else "").removesuffix(".py")
    module = module.replace("/", ".").removesuffix(".__init__")
    rng, made = random.Random(secrets.randbits(64)), _Canaries()
    folder = tests[0].rpartition("/")[0]
    for _ in range(2):
        path = f"{folder}/test_{secrets.token_hex(4)}.py".lstrip("/")
        lines = [f"import {module} as subject"]
        for fails in rng.sample([True, True, False, False], 4):
            name = f"test_{secrets.token_hex(4)}"
            says = secrets.token_hex(3) if fails else module.rpartition(".")[2]
            lines += ["", "", f"def {name}():", f"    assert subject.__name__.split('.')[-1] == {says!r}"]
            made.expected[f"{path}::{name}"] = "failed" if fails else "passed"
        made.files[path] = "\n".join([*lines, ""]).encode()
    return made


def _packed(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@functools.cache
def _made():
    return json.loads(Path(__file__).with_name("mutants.json").read_text())

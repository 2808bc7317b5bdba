"""Random pairs of an evaluator and a program that changes what it is given.

Each pair is a function of the evaluator and one or two of the program. Many of them share one
file, as each evaluation takes a moment. What the evaluator sees is written down as text.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

HEAD = """import importlib.util
import numpy


class Box:
    def __init__(self, value, count):
        self.value, self.count = value, count


def show(x):
    if isinstance(x, numpy.ndarray):
        return f"{x.dtype}{x.shape}{x.tolist()}"
    if isinstance(x, Box):
        return f"Box({show(x.value)}, {show(x.count)})"
    if isinstance(x, (list, tuple)):
        return f"{type(x).__name__}[{', '.join(map(show, x))}]"
    if isinstance(x, dict):
        return "{" + ", ".join(f"{k!r}: {show(v)}" for k, v in x.items()) + "}"
    if isinstance(x, set):
        return f"set{sorted(map(repr, x))}"
    return f"{type(x).__name__}({x!r})"

"""
TAIL = """

def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("cand", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases = sorted(name for name in globals() if name.startswith("case_"))
    found = {name: globals()[name](module) for name in cases}
    return {"combined_score": 1.0, **found}
"""
# kind of an argument -> ways to make one, and what a program may do to it
MAKE = {
    "list": ["[3, 1, 2]", "[2.5, -0.0, 1e300, 7]", "['b', 'a', None, True]", "[]"],
    "nested list": [
        "[[2, 1], [3], []]",
        "[[0] * 3 for _ in range(3)]",
        "[[1], ([2], 3)]",
    ],
    "shared rows": ["[[0, 1]] * 3"],
    "dict": ["{'a': 1, 'b': 2}", "{1: 'x', (2, 3): 'y'}", "{}"],
    "dict of lists": ["{'a': [2, 1], 'b': [3, 0]}"],
    "set": ["{3, 1, 2}", "{'x', (1, 2)}", "set()"],
    "bytearray": ["bytearray(b'hello')", "bytearray()"],
    "array": [
        "numpy.arange(6.0)",
        "numpy.arange(6, dtype='int32')",
        "numpy.array([True, False, True])",
        "numpy.array([1 + 2j, 3])",
    ],
    "matrix": ["numpy.arange(6.0).reshape(2, 3)", "numpy.eye(3).T"],
    "object": ["Box(2, 5)", "Box('x', 0)"],
    "object with a list": ["Box([1, 2], 3)"],
    "tuple of lists": ["([2, 1], [3, 4])"],
}
CHANGE = {
    "list": [
        "x.reverse()",
        "x.append(9)",
        "x.clear()",
        "x[:] = x[1:] + x[:1]",
        "x.insert(0, [1, 2])",
        "del x[-1:]",
        "x *= 2",
        "x.extend(('p', 1.5))",
    ],
    "nested list": [
        "x[0].append(7)",
        "x[0], x[1] = x[1], x[0]",
        "x.append(x[0])",
        "x[:] = [list(r) for r in x]",
        "x[0][:] = [8, 9]",
        "x.reverse()",
    ],
    "shared rows": ["x[0][0] = 5", "x[1] = [4]", "x.pop()"],
    "dict": [
        "x['new'] = [1]",
        "x.clear()",
        "x.update({'a': 5, 7: None})",
        "x.popitem() if x else 0",
    ],
    "dict of lists": [
        "x['a'].sort()",
        "x['c'] = x['a']",
        "x['b'].append({'k': 1})",
        "del x['a']",
    ],
    "set": ["x.add(99)", "x.clear()", "x.discard(1)", "x |= {5, 6}"],
    "bytearray": ["x.extend(b'!')", "x[:] = b'other'", "x.reverse()"],
    "array": ["x[0] = 0", "x[::-1].sort()", "x *= 2", "x[:] = x[::-1].copy()"],
    "matrix": ["x[0] = 7", "x[:, 1] += 1", "x[:] = x * 2", "numpy.negative(x, out=x)"],
    "object": ["x.value = 1.5", "x.count += 1", "x.value = [x.count]"],
    "object with a list": [
        "x.value.append(4)",
        "x.value = {'k': x.value}",
        "x.count = None",
    ],
    "tuple of lists": ["x[0].sort()", "x[1].append(x[0])"],
}
KINDS = sorted(MAKE)
MORE = ["views of one array", "kept", "aliased", "out", "method"]


@dataclass(frozen=True)
class Pair:
    """A pair of functions.

    Attributes:
        kind: what is passed, or how
        case: text of the evaluator's function
        program: text of the program's functions
    """

    kind: str
    case: str
    program: str


def make_pair(number: int) -> Pair:
    """Return the pair with this number, always the same."""
    rng = random.Random(number)
    kind = (KINDS + MORE)[number % (len(KINDS) + len(MORE))]
    made = rng.choice(KINDS)
    return (
        _SPECIAL[kind](number, made, rng) if kind in MORE else _plain(number, kind, rng)
    )


def _changes(kind: str, rng: random.Random) -> str:
    lines = [rng.choice(CHANGE[kind]) for _ in range(rng.randint(1, 3))]
    return "".join(
        f"    try:\n        {line}\n    except Exception:\n        pass\n"
        for line in lines
    )


def _pair(kind: str, number: int, body: list[str], functions: dict[str, str]) -> Pair:
    case = f"def case_{number}(module):\n" + "".join(f"    {line}\n" for line in body)
    return Pair(kind, case, "".join(functions.values()))


def _plain(number: int, kind: str, rng: random.Random) -> Pair:
    result = rng.choice(["None", "x", "[x, 1]", "type(x).__name__", "(x,)"])
    name = f"f_{number}"
    program = f"def {name}(x):\n{_changes(kind, rng)}    return {result}\n"
    way = rng.choice(["x", "x=x"])
    body = [f"x = {rng.choice(MAKE[kind])}", f"r = module.{name}({way})"]
    if rng.random() < 0.3:  # the evaluator's own change, then another call
        body += [f"r = module.{name}({way})"]
    # an unchanging value, such as a tuple, is no longer the same object
    same = (
        "None"
        if kind == "tuple of lists"
        else "r is x or isinstance(r, (list, tuple)) and len(r) > 0 and r[0] is x"
    )
    return _pair(
        kind,
        number,
        [*body, f"return show(x) + show(r) + str({same})"],
        {name: program},
    )


def _views(number: int, made: str, rng: random.Random) -> Pair:
    name, change = (
        f"f_{number}",
        rng.choice(["x[:] = y[1]", "x += y.sum()", "y[0] = 50; x[-1] += 1"]),
    )
    program = f"def {name}(x, y):\n    {change}\n    return float(y.sum())\n"
    start = rng.randint(0, 3)
    body = [
        f"base = numpy.arange({rng.randint(8, 12)}.0)",
        f"r = module.{name}(base[{start}:{start + 4}], base[2:6])",
        "return show(base) + show(r)",
    ]
    return _pair("views of one array", number, body, {name: program})


def _kept(number: int, made: str, rng: random.Random) -> Pair:
    first, later = f"init_{number}", f"step_{number}"
    functions = {
        first: f"def {first}(x):\n    globals()['kept_{number}'] = x\n",
        later: f"def {later}():\n    x = kept_{number}\n{_changes(made, rng)}    return 1\n",
    }
    own = rng.choice(
        ["pass", CHANGE[made][0] if ";" not in CHANGE[made][0] else "pass"]
    )
    body = [
        f"x = {rng.choice(MAKE[made][:2])}",
        f"module.{first}(x)",
        *[f"module.{later}()", "try:", f"    {own}", "except Exception:", "    pass"]
        * 2,
        f"module.{later}()",
        "return show(x)",
    ]
    return _pair("kept", number, body, functions)


def _aliased(number: int, made: str, rng: random.Random) -> Pair:
    name = f"f_{number}"
    program = f"def {name}(x, y):\n{_changes(made, rng)}    return y\n"
    inner = rng.choice(["x", "[x]", "{'k': x}"])
    body = [
        f"x = {rng.choice(MAKE[made])}",
        f"y = {inner}",
        f"r = module.{name}(x, y)",
        "return show(x) + show(y) + show(r)",
    ]
    return _pair("aliased", number, body, {name: program})


def _out(number: int, made: str, rng: random.Random) -> Pair:
    name = f"f_{number}"
    program = f"def {name}(a, out=None):\n    numpy.multiply(a, {rng.randint(2, 9)}, out=out)\n    return out\n"
    body = [
        "a, out = numpy.arange(5.0), numpy.zeros(5)",
        f"r = module.{name}(a, out=out)",
        "return show(a) + show(out) + str(r is out)",
    ]
    return _pair("out", number, body, {name: program})


def _method(number: int, made: str, rng: random.Random) -> Pair:
    name = f"C_{number}"
    program = (
        f"class {name}:\n    def __init__(self, x=None):\n        self.x = x\n"
        f"    def change(self, x=None):\n        x = self.x if x is None else x\n"
        + "".join(f"    {line}\n" for line in _changes(made, rng).splitlines())
        + "        return x\n"
    )
    same = "return show(x) + show(y)"
    if made != "tuple of lists":
        same += " + str(r is x) + str(s is y)"
    body = [
        f"x, y = {rng.choice(MAKE[made])}, {rng.choice(MAKE[made])}",
        f"thing = module.{name}(x)",
        "r = thing.change()",
        "s = thing.change(y)",
        same,
    ]
    case = f"def case_{number}(module):\n" + "".join(f"    {line}\n" for line in body)
    return Pair("method", case, program)


_SPECIAL = {
    "views of one array": _views,
    "kept": _kept,
    "aliased": _aliased,
    "out": _out,
    "method": _method,
}


def evaluator_of(pairs: Sequence[Pair]) -> str:
    """Return the evaluator's file."""
    return HEAD + "\n\n".join(pair.case for pair in pairs) + TAIL


def program_of(pairs: Sequence[Pair]) -> str:
    """Return the program's file."""
    return "import numpy\n\n\n" + "\n\n".join(pair.program for pair in pairs)

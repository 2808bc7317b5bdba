"""Random pairs of an evaluator and a program for what crosses between them besides changes.

Each kind is a row of the table in `docs/peers.md`. A template has the program's part and the
body of a function of the evaluator; `NUM` is the pair's number, `R1` to `R3` are random numbers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.argument_pairs import TAIL as _TAIL
from tests.argument_pairs import Pair

HEAD = """import asyncio, collections, contextlib, copy, dataclasses, datetime, enum, functools
import importlib.util, inspect, io, itertools, math, os, pickle, random, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
import numpy


class Vector:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)

    def __lt__(self, other):
        return self.x < other.x

    def __len__(self):
        return 2

    def __getitem__(self, k):
        return (self.x, self.y)[k]

    def __call__(self, k):
        return self.x * k

    def norm(self):
        return abs(self.x) + abs(self.y)


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2


Pair = collections.namedtuple("Pair", "left right")


class Stop(Exception):
    pass

"""
SHOW = """

def show(x):
    kind = type(x).__name__
    if isinstance(x, numpy.ndarray):
        order = x.flags.f_contiguous and not x.flags.c_contiguous
        return f"{kind}{x.dtype.str}{x.shape}{order}{x.tolist()}"
    if isinstance(x, (dict, collections.OrderedDict)):
        items = [show(k) + ":" + show(v) for k, v in x.items()]
        return f"{kind}{items}{getattr(x, 'default_factory', '')}"
    if isinstance(x, (list, tuple, collections.deque)):
        return f"{kind}{[show(item) for item in x]}{getattr(x, 'maxlen', '')}"
    if isinstance(x, (set, frozenset)):
        return f"{kind}{sorted(map(show, x))}"
    return f"{kind} {x!r}"

"""
PROGRAM_HEAD = """import asyncio, collections, contextlib, dataclasses, datetime, enum, functools
import itertools, os, random, sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
import numpy
"""
TAIL = _TAIL.replace(
    "    spec.loader", "    sys.modules['cand'] = module\n    spec.loader"
)
_VALUES = {
    "constants": (
        *("R1", "-R1", "R1 ** 41", "-0.0", "R1 / 7", "True", "None", "...", "5e-324"),
        *(
            "complex(R1, -0.0)",
            "Fraction(R1, R2)",
            "Decimal('R1.10')",
            "range(R1, 99, R2)",
        ),
        *(
            "'R1\\u00e9\\U0001f600'",
            "b'\\x00R1\\xff'",
            "slice(R1, None, 2)",
            "int",
            "ValueError",
        ),
        *("datetime.datetime(2020, 1, R3, 4, 5)", "datetime.date(2020, 2, R3)"),
        *("datetime.timedelta(R1, R2)", "Path('/a/R1')", "datetime.time(R3)"),
    ),
    "containers": (
        *(
            "[R1, (R2,)]",
            "(R1, [R2])",
            "{'b': R1, 'a': R2, 3: 4, (1, 2): R3}",
            "{R1, R2}",
        ),
        *(
            "frozenset({R1})",
            "bytearray(b'R1')",
            "{1: 'a', 1.5: 'b', None: R1, True: 'd'}",
        ),
        *(
            "collections.OrderedDict([('b', R1), ('a', R2)])",
            "[[R1] * 2] * 2",
            "[]",
            "()",
            "{}",
        ),
        *("collections.Counter('aabR1')", "collections.deque([R1, R2], maxlen=R3)"),
        *(
            "collections.defaultdict(list, {'a': [R1]})",
            "collections.defaultdict(int, a=R1)",
        ),
        "collections.namedtuple('Pair', 'left right')(R1, [R2])",
    ),
    "arrays": (
        *("numpy.arange(R1)", "numpy.array(R1 / 3)", "numpy.array([R3], dtype='i1')"),
        *("numpy.array([R1 / 3], dtype='f4')", "numpy.array([R3], dtype='f2')"),
        *("numpy.array([R1, R2], dtype='>i4')", "numpy.asfortranarray(numpy.eye(R3))"),
        *(
            "numpy.arange(6).reshape(2, 3).T",
            "numpy.zeros((0, R1))",
            "numpy.array([True])",
        ),
        *(
            "numpy.array([R1 + 2j])",
            "numpy.array(['a', 'bR1'])",
            "numpy.array([b'R1'])",
        ),
        *(
            "numpy.array(['2020-01-R3'[:8] + '11'], dtype='M8[D]')",
            "numpy.array([-0.0, R1])",
        ),
        *(
            "numpy.float32(R1 / 3)",
            "numpy.int64(R1)",
            "numpy.bool_(True)",
            "numpy.float64(-0.0)",
        ),
        *(
            "numpy.array([R1], dtype=numpy.longdouble)",
            "numpy.str_('R1')",
            "numpy.uint8(R3)",
        ),
    ),
}
# kind -> (program, body of the evaluator's function)
CROSS: dict[str, list[tuple[str, str]]] = {
    kind: [
        *(
            (f"def f_NUM():\n    return {v}\n", "return show(module.f_NUM())")
            for v in values
        ),
        *(
            (
                SHOW.replace("show", "show_NUM")
                + "def f_NUM(x):\n    return show_NUM(x)\n",
                f"return module.f_NUM({v})",
            )
            for v in values
        ),
        *((f"x_NUM = {v}\n", "return show(module.x_NUM)") for v in values),
    ]
    for kind, values in _VALUES.items()
}
CROSS |= {
    "values that both hold": [
        ("def f_NUM():\n    r = [R1]\n    return [r, r]\n",
         "a = module.f_NUM()\na[0].append(R2)\nreturn show(a) + str(a[0] is a[1])"),
        ("keep_NUM = [R1]\ndef f_NUM():\n    return keep_NUM\n",
         "a = module.f_NUM()\na.append(R2)\nreturn show(module.f_NUM()) + str(a is module.f_NUM())"),
        ("keep_NUM = {'a': R1}\ndef f_NUM(x):\n    return x is keep_NUM\n",
         "return str(module.f_NUM(module.keep_NUM))"),
        ("keep_NUM = [R1]\ndef f_NUM(x):\n    keep_NUM.append(x)\n",
         "kept = module.keep_NUM\nmodule.f_NUM(R2)\nreturn show(kept) + str(kept is module.keep_NUM)"),
        ("def f_NUM():\n    return {'n': [R1]}\ndef g_NUM(x):\n    x['n'].append(R2)\n",
         "x = module.f_NUM()\nmodule.g_NUM(x)\nreturn show(x)"),
        ("class C_NUM:\n    def __init__(self):\n        self.log = [R1]\n"
         "    def add(self, k):\n        self.log.append(k)\n        return len(self.log)\n",
         "c = module.C_NUM()\nlog = c.log\nc.add(R2)\nlog.append(R3)\nreturn show(log) + str(c.add(1))"),
        ("a_NUM = numpy.zeros(R3)\ndef f_NUM():\n    a_NUM[0] += 1\n    return float(a_NUM.sum())\n",
         "a = module.a_NUM\nr = module.f_NUM()\na[0] = R1\nreturn show(a) + str(r + module.f_NUM())"),
        ("d_NUM = collections.deque([R1])\ndef f_NUM():\n    d_NUM.append(R2)\n",
         "d = module.d_NUM\nmodule.f_NUM()\nd.appendleft(R3)\nmodule.f_NUM()\nreturn show(d)"),
    ],
    "iterators of the program": [
        ("def f_NUM():\n    yield from range(R1)\n", "g = module.f_NUM()\nreturn show([next(g), list(g), list(g)])"),
        ("def f_NUM():\n    k = R1\n    while True:\n        yield k\n        k += R2\n",
         "return show(list(itertools.islice(module.f_NUM(), R3)))"),
        ("def f_NUM():\n    k = R1\n    while True:\n        k = (yield k * 2) or R2\n",
         "g = module.f_NUM()\nreturn show([next(g), g.send(R2), g.send(R3), g.close()])"),
        ("now_NUM = [0]\ndef f_NUM():\n    for k in range(R3):\n        now_NUM[0] = k\n        yield k * R1\n"
         "def g_NUM():\n    return now_NUM[0]\n",
         "return show([(v, module.g_NUM()) for v in module.f_NUM()])"),
        ("def f_NUM():\n    yield R1\n    raise ValueError(R2)\n",
         "out = []\ntry:\n    for v in module.f_NUM():\n        out.append(v)\n"
         "except ValueError as e:\n    out.append(e.args)\nreturn show(out)"),
        ("def f_NUM():\n    yield R1\n    return R2\n",
         "g = module.f_NUM()\nnext(g)\ntry:\n    next(g)\nexcept StopIteration as e:\n    return show(e.value)"),
        ("def f_NUM():\n    return map(abs, [-R1, R2])\n", "m = module.f_NUM()\nreturn show([list(m), list(m)])"),
        ("def f_NUM():\n    return zip('ab', [R1, R2])\n", "return show(dict(module.f_NUM()))"),
        ("class I_NUM:\n    def __init__(self):\n        self.n = 0\n    def __iter__(self):\n        return self\n"
         "    def __next__(self):\n        self.n += 1\n        if self.n > R3:\n            raise StopIteration\n"
         "        return self.n * R1\n",
         "i = module.I_NUM()\nreturn show([list(i), next(i, 'end'), i.n])"),
        ("def f_NUM():\n    return {'a': R1, 'b': R2}.items()\n", "return show([list(module.f_NUM()), len(module.f_NUM())])"),
    ],
    "iterators of the evaluator": [
        ("def f_NUM(g):\n    return [next(g), list(g), list(g)]\n", "return show(module.f_NUM(iter([R1, R2, R3])))"),
        ("def f_NUM(g):\n    return sum(g)\n", "return show(module.f_NUM(i * R1 for i in range(R3)))"),
        ("def f_NUM(g):\n    return list(itertools.islice(g, R3))\n",
         "g = itertools.count(R1)\nr = module.f_NUM(g)\nreturn show([r, next(g)])"),
        ("def f_NUM(g):\n    return list(g)\n", "return show(module.f_NUM(zip('ab', [R1, R2])))"),
        ("def f_NUM(g):\n    return list(g)\n", "return show(module.f_NUM(enumerate([R1, R2])))"),
        ("def f_NUM(g):\n    try:\n        return list(g)\n    except ZeroDivisionError as e:\n        return str(e)\n",
         "return show(module.f_NUM(R1 // k for k in (1, 0)))"),
    ],
    "callbacks": [
        ("def f_NUM(f):\n    return [f(i) for i in range(R3)]\n", "return show(module.f_NUM(lambda x: x * R1))"),
        ("def f_NUM(f):\n    try:\n        return f(0)\n    except ZeroDivisionError as e:\n        return e.args\n",
         "return show(module.f_NUM(lambda x: R1 / x))"),
        ("def f_NUM(f):\n    return f(R1)\n",
         "def stop(x):\n    raise Stop(x, R2)\ntry:\n    return module.f_NUM(stop)\nexcept Stop as e:\n    return show(e.args)"),
        ("def f_NUM(f):\n    try:\n        return f(R1)\n    except Exception as e:\n"
         "        return type(e).__name__, str(e), e.args\n",
         "def stop(x):\n    raise Stop(x, R2)\nreturn show(module.f_NUM(stop))"),
        ("def f_NUM(f):\n    return f(R1)\n", "return show(module.f_NUM(functools.partial(pow, R2)))"),
        ("def f_NUM(f):\n    return f([R1, R2])\n", "return show(module.f_NUM(random.Random(1).choice([sum, max, len])))"),
        ("def f_NUM(f):\n    return f([R1, R2])\n", "return show(module.f_NUM(numpy.sqrt))"),
        ("def f_NUM(f):\n    return f()\n", "return show(module.f_NUM(Vector(R1, R2).norm))"),
        ("def f_NUM(f):\n    return f(R1, R2).norm()\n", "return show(module.f_NUM(Vector))"),
        ("def f_NUM(f):\n    return f(R1)\n", "return show(module.f_NUM(Vector(R2, 0)))"),
        ("import inspect\ndef f_NUM(f):\n    return f.__name__, str(inspect.signature(f))\n",
         "def own(a, b=R1, *c, d: int = R2) -> float:\n    pass\nreturn show(module.f_NUM(own))"),
        ("def f_NUM(f):\n    x = [R1, R2]\n    y = f(x)\n    return x, y is x\n",
         "def change(x):\n    x.append(R3)\n    return x\nreturn show(module.f_NUM(change))"),
        ("def g_NUM(x):\n    return x * R1\ndef f_NUM(f):\n    return f(R2), f is g_NUM\n",
         "return show(module.f_NUM(module.g_NUM))"),
    ],
    "exceptions": [
        ("def f_NUM():\n    raise ValueError('bad', R1)\n",
         "try:\n    module.f_NUM()\nexcept ValueError as e:\n    return show(e.args)"),
        ("def f_NUM():\n    return {}[(R1, 'k')]\n",
         "try:\n    module.f_NUM()\nexcept LookupError as e:\n    return show([type(e).__name__, e.args])"),
        ("class E_NUM(ValueError):\n    def __init__(self, code):\n        super().__init__(f'code {code}')\n"
         "        self.code = code\ndef f_NUM():\n    raise E_NUM(R1)\n",
         "try:\n    module.f_NUM()\nexcept module.E_NUM as e:\n    return show([e.code, str(e), repr(e)])"),
        ("class E_NUM(RuntimeError):\n    pass\nclass F_NUM(E_NUM):\n    def __str__(self):\n        return 'said R1'\n"
         "def f_NUM():\n    raise F_NUM(R1)\n",
         "try:\n    module.f_NUM()\nexcept ValueError:\n    return 'no'\nexcept RuntimeError as e:\n"
         "    return show([isinstance(e, module.E_NUM), str(e), type(e).__name__])"),
        ("def f_NUM():\n    open('/nonexistent/R1')\n",
         "try:\n    module.f_NUM()\nexcept FileNotFoundError as e:\n    return show([e.errno, e.filename, str(e)])"),
        ("def f_NUM():\n    numpy.linalg.inv(numpy.zeros((R3, R3)))\n",
         "try:\n    module.f_NUM()\nexcept numpy.linalg.LinAlgError as e:\n    return str(e)"),
        ("def f_NUM():\n    b'abc\\xff'[: R1].decode()\n    raise KeyError\n",
         "try:\n    module.f_NUM()\nexcept UnicodeDecodeError as e:\n    return show([e.start, e.reason])\n"
         "except KeyError as e:\n    return show(e.args)"),
        ("def f_NUM():\n    try:\n        1 / 0\n    except ZeroDivisionError as e:\n        raise ValueError(R1) from e\n",
         "try:\n    module.f_NUM()\nexcept ValueError as e:\n    return show([type(e.__cause__).__name__, e.args])"),
        ("def f_NUM():\n    raise ExceptionGroup('g', [ValueError(R1), KeyError(R2)])\n",
         "try:\n    module.f_NUM()\nexcept* ValueError as e:\n    r = e.exceptions[0].args\n"
         "except* KeyError:\n    pass\nreturn show(r)"),
        ("def f_NUM():\n    return ValueError(R1)\n", "r = module.f_NUM()\nreturn show([isinstance(r, ValueError), r.args])"),
        ("def f_NUM(a):\n    return a\n", "try:\n    module.f_NUM()\nexcept TypeError as e:\n    return str(e)"),
        ("def f_NUM():\n    assert R1 < 0, R2\n",
         "try:\n    module.f_NUM()\nexcept AssertionError as e:\n    return show(e.args)"),
    ],
    "variables of the module": [
        ("v_NUM = R1\ndef f_NUM():\n    return v_NUM\n",
         "a = module.v_NUM\nmodule.v_NUM = R2\nreturn show([a, module.v_NUM, module.f_NUM()])"),
        ("v_NUM = 0\ndef f_NUM():\n    global v_NUM\n    v_NUM += R1\n",
         "a = module.v_NUM\nmodule.f_NUM()\nmodule.f_NUM()\nreturn show([a, module.v_NUM])"),
        ("def g_NUM():\n    return R1\ndef f_NUM():\n    return g_NUM()\n",
         "module.g_NUM = lambda: R2\nreturn show([module.f_NUM(), module.g_NUM()])"),
        ("v_NUM = {'a': R1}\ndef f_NUM():\n    return v_NUM['a']\n", "module.v_NUM['a'] = R2\nreturn show(module.f_NUM())"),
        ("v_NUM = [R1, R2, R3]\ndef f_NUM():\n    return v_NUM\n",
         "module.v_NUM.sort()\nreturn show([module.v_NUM, module.f_NUM()])"),
        ("v_NUM = R1\n", "return show([hasattr(module, 'v_NUM'), getattr(module, 'no_NUM', R2), 'v_NUM' in dir(module)])"),
        ("v_NUM = R1\n", "return show([vars(module)['v_NUM'], module.__dict__['v_NUM']])"),
        ("v_NUM = R1\n", "del module.v_NUM\nreturn show(hasattr(module, 'v_NUM'))"),
        ("def f_NUM(x):\n    f_NUM.calls += x\nf_NUM.calls = 0\n",
         "module.f_NUM(R1)\nmodule.f_NUM.calls += 1\nmodule.f_NUM(R2)\nreturn show(module.f_NUM.calls)"),
    ],
    "objects of the program": [
        ("class C_NUM:\n    def __init__(self, n):\n        self.n, self.log = n, []\n"
         "    def add(self, k):\n        self.n += k\n        self.log.append(k)\n        return self\n"
         "    @property\n    def twice(self):\n        return 2 * self.n\n"
         "    @classmethod\n    def make(cls):\n        return cls(R3)\n",
         "c = module.C_NUM(R1)\nc.add(2).add(R2)\n"
         "return show([c.n, c.twice, c.log, module.C_NUM.make().n, isinstance(c, module.C_NUM)])"),
        ("class C_NUM:\n    def __init__(self):\n        self.x = R1\n    def get(self):\n        return self.x\n",
         "c = module.C_NUM()\nc.x = R2\na = c.get()\ndel c.x\nreturn show([a, hasattr(c, 'x'), type(c).__name__])"),
        ("class C_NUM:\n    pass\none_NUM = C_NUM()\ndef f_NUM():\n    return one_NUM\n",
         "c = module.f_NUM()\nreturn show([c is module.f_NUM(), c == module.one_NUM, c == module.C_NUM(), len({c, c})])"),
        ("class C_NUM:\n    def __len__(self):\n        return R3\n    def __getitem__(self, k):\n        if k >= R3:\n"
         "            raise IndexError\n        return k * R1\n",
         "c = module.C_NUM()\nreturn show([len(c), list(c), c[1], bool(c), sum(c)])"),
        ("class C_NUM:\n    def __str__(self):\n        return 'S R1'\n    def __repr__(self):\n        return 'R R2'\n",
         "c = module.C_NUM()\nreturn show([str(c), repr(c), f'{c}'])"),
        ("class C_NUM:\n    def __enter__(self):\n        self.log = [R1]\n        return self\n"
         "    def __exit__(self, kind, *rest):\n        self.log.append(kind.__name__)\n        return True\n",
         "with module.C_NUM() as c:\n    1 / 0\nreturn show(c.log)"),
        ("@contextlib.contextmanager\ndef f_NUM():\n    yield R1\n", "with module.f_NUM() as v:\n    return show(v)"),
        ("class C_NUM:\n    def __init__(self):\n        self.d = {}\n    def __setitem__(self, k, v):\n        self.d[k] = v\n"
         "    def __delitem__(self, k):\n        del self.d[k]\n",
         "c = module.C_NUM()\nc['a'] = R1\nc['b'] = R2\ndel c['a']\nreturn show(c.d)"),
        ("class C_NUM:\n    def __float__(self):\n        return R1 / 3\n    def __index__(self):\n        return R3\n"
         "    def __bool__(self):\n        return R1 % 2 == 0\n",
         "c = module.C_NUM()\nreturn show([float(c), [0] * int(c), bool(c)])"),
        ("class C_NUM:\n    def __init__(self):\n        self.a, self.b = R1, [R2]\n",
         "c = module.C_NUM()\nreturn show([vars(c), c.__dict__])"),
        ("class C_NUM:\n    'text R1'\n    def __call__(self, x):\n        return x + R1\n",
         "c = module.C_NUM()\nreturn show([c(R2), callable(c), module.C_NUM.__doc__, inspect.isclass(module.C_NUM)])"),
        ("class C_NUM(enum.Enum):\n    A = R1\n    B = -R2\ndef f_NUM():\n    return C_NUM.A\n",
         "a = module.f_NUM()\nreturn show([a.name, a.value, a is module.C_NUM.A, [m.name for m in module.C_NUM]])"),
    ],
    "objects of the evaluator": [
        ("def f_NUM(v):\n    return v.x, v.norm(), type(v).__name__, len(v), v[1]\n",
         "return show(module.f_NUM(Vector(R1, R2)))"),
        ("def f_NUM(v, w):\n    return v == w, v < w, (v + w).x, v in [w]\n",
         "return show(module.f_NUM(Vector(R1, R2), Vector(R1, R3)))"),
        ("def f_NUM(v):\n    v.x += R2\n    return v\n", "v = Vector(R1, 1)\nr = module.f_NUM(v)\nreturn show([r is v, v.x])"),
        ("def f_NUM(p):\n    return p.x, dataclasses.is_dataclass(p), dataclasses.replace(p, x=R2).x\n",
         "return show(module.f_NUM(Point(R1)))"),
        ("def f_NUM(p):\n    return p.left + p[1], len(p), isinstance(p, tuple), p._replace(left=R3), p._asdict()\n",
         "return show(module.f_NUM(Pair(R1, R2)))"),
        ("def f_NUM(vs):\n    return [v.x for v in sorted(vs)], vs[0] is vs[1]\n",
         "v = Vector(R1, R2)\nreturn show(module.f_NUM([v, v, Vector(R3, 1)]))"),
    ],
    "functions": [
        ("def f_NUM(a, *args, b=R1, **more):\n    return a, args, b, more\n",
         "return show([module.f_NUM(1, 2, b=R2, z=5), module.f_NUM(1), module.f_NUM(*[1, 2], **{'q': R3})])"),
        ("f_NUM = lambda x, k=R1: x * k\n", "return show([module.f_NUM(R2), list(map(module.f_NUM, [1, R3]))])"),
        ("def f_NUM(a, b=2):\n    return a * b\n", "return show(functools.partial(module.f_NUM, b=R1)(R2))"),
        ("def f_NUM(k):\n    return lambda x: x + k\n", "return show(module.f_NUM(R1)(R2))"),
        ("def f_NUM(k):\n    return functools.partial(pow, k)\n", "return show(module.f_NUM(R3)(2))"),
        ("def f_NUM(f):\n    def g(*a):\n        return f(*a) * R1\n    return g\n",
         "@module.f_NUM\ndef h(x):\n    return x + R2\nreturn show(h(3))"),
        ("def f_NUM(a: int, b=R1, *, c: str = 'R2', **k) -> list:\n    'text R3'\n",
         "f = module.f_NUM\nreturn show([str(inspect.signature(f)), f.__doc__, f.__name__, f.__defaults__])"),
        ("def f_NUM(a, b=R1):\n    pass\n",
         "f = module.f_NUM\nreturn show([f.__code__.co_argcount, inspect.isfunction(f), callable(f), f.__module__])"),
        ("@functools.lru_cache\ndef f_NUM(x):\n    return x + R1\n",
         "module.f_NUM(1)\nmodule.f_NUM(1)\nreturn show([module.f_NUM(R2), module.f_NUM.cache_info().hits])"),
    ],
    "random numbers": [
        ("def f_NUM():\n    return random.random(), random.randint(0, 99)\n", "random.seed(R1)\nreturn show(module.f_NUM())"),
        ("def f_NUM():\n    return float(numpy.random.rand()), numpy.random.randint(99)\n",
         "numpy.random.seed(R1)\nreturn show(module.f_NUM())"),
        ("def f_NUM():\n    return random.random()\n",
         "random.seed(R1)\na = random.random()\nreturn show([a, module.f_NUM(), module.f_NUM()])"),
        ("def f_NUM():\n    return random.gauss(0, 1)\n",
         "random.seed(R1)\nstate = random.getstate()\na = module.f_NUM()\nrandom.setstate(state)\n"
         "return show([a, module.f_NUM()])"),
        ("def f_NUM():\n    return float(numpy.random.normal())\n",
         "out = []\nfor k in range(R3):\n    numpy.random.seed(k)\n    out.append(module.f_NUM())\nreturn show(out)"),
    ],
    "surroundings": [
        ("def f_NUM():\n    print('hello R1')\n",
         "b = io.StringIO()\nwith contextlib.redirect_stdout(b):\n    module.f_NUM()\nreturn show(b.getvalue())"),
        ("def f_NUM():\n    print('hello R1', file=sys.stderr)\n",
         "b = io.StringIO()\nwith contextlib.redirect_stderr(b):\n    module.f_NUM()\nreturn show(b.getvalue())"),
        ("def f_NUM():\n    return os.environ.get('VARIABLE_NUM')\n",
         "os.environ['VARIABLE_NUM'] = 'R1'\na = module.f_NUM()\ndel os.environ['VARIABLE_NUM']\n"
         "return show([a, module.f_NUM()])"),
        ("def f_NUM():\n    return sys.argv[1:]\n",
         "old = sys.argv\nsys.argv = ['p', '--x', 'R1']\nr = module.f_NUM()\nsys.argv = old\nreturn show(r)"),
        ("def f_NUM():\n    return sys.getrecursionlimit()\n", "sys.setrecursionlimit(3000 + R1)\nreturn show(module.f_NUM())"),
        ("def f_NUM():\n    return str(numpy.float64(R1) / numpy.float64(0))\n",
         "with numpy.errstate(all='raise'):\n    try:\n        return module.f_NUM()\n    except FloatingPointError:\n"
         "        return 'raised'"),
    ],
    "threads": [
        ("def f_NUM(x):\n    return x * R1\n",
         "with ThreadPoolExecutor(R3 % 3 + 1) as pool:\n    return show(list(pool.map(module.f_NUM, range(R3))))"),
        ("def f_NUM(x):\n    return [x, R1]\n",
         "with ThreadPoolExecutor(2) as pool:\n"
         "    return show([j.result() for j in [pool.submit(module.f_NUM, k) for k in range(4)]])"),
    ],
}  # fmt: skip
# kinds that need one process, or are marked
APART: dict[str, list[tuple[str, str]]] = {
    "operators of a program's object": [
        (f"class C_NUM:\n    def __init__(self):\n        self.x = R1\n    def __{name}__(self, *a):\n        return {value}\n",
         f"return show({use})")
        for name, value, use in (
            ("eq", "True", "module.C_NUM() == R2"),
            ("eq", "True", "module.C_NUM() == module.C_NUM()"),
            ("ne", "False", "module.C_NUM() != R2"),
            ("lt", "True", "module.C_NUM() < 5"),
            ("hash", "R1", "hash(module.C_NUM())"),
            ("contains", "True", "R1 in module.C_NUM()"),
            ("add", "R1", "module.C_NUM() + R2"),
            ("radd", "R1", "R2 + module.C_NUM()"),
            ("neg", "R1", "-module.C_NUM()"),
            ("format", "'R1'", "f'{module.C_NUM():x}'"),
            ("abs", "R1", "abs(module.C_NUM())"),
            ("round", "R1", "round(module.C_NUM())"),
        )
    ],
    "copies and classes of a program's object": [
        ("class C_NUM:\n    def __init__(self):\n        self.a = [R1]\n    def inc(self):\n        self.a.append(1)\n", body)
        for body in (
            "c = module.C_NUM()\nd = copy.deepcopy(c)\nc.inc()\nreturn show([c.a, d.a])",
            "c = module.C_NUM()\nd = copy.copy(c)\nc.inc()\nreturn show([c.a, d.a])",
            "return show(pickle.loads(pickle.dumps(module.C_NUM())).a)",
            "class D(module.C_NUM):\n    pass\nreturn show(D().a)",
            "return show(module.C_NUM.__mro__[1].__name__)",
        )
    ],
    "asynchronous functions": [
        ("async def f_NUM(x):\n    await asyncio.sleep(0)\n    return x + R1\n", "return show(asyncio.run(module.f_NUM(R2)))"),
        ("async def f_NUM():\n    for k in range(R3):\n        yield k\n",
         "async def main():\n    return [k async for k in module.f_NUM()]\nreturn show(asyncio.run(main()))"),
        ("async def f_NUM(x):\n    return x + R1\n",
         "async def main():\n    return await asyncio.gather(module.f_NUM(1), module.f_NUM(R2))\n"
         "return show(asyncio.run(main()))"),
    ],
    "objects of libraries": [
        (f"def f_NUM():\n    return {value}\n", "return show(module.f_NUM())")
        for value in (
            *("numpy.ma.array([R1, 2], mask=[0, 1])", "numpy.matrix([[R1, 2]])", "numpy.array([R1, None])"),
            *("numpy.array([(R1, 2.5)], dtype=[('a', 'i4'), ('b', 'f8')])", "__import__('uuid').UUID(int=R1)"),
            *("numpy.dtype('f4')", "__import__('array').array('d', [R1])", "__import__('re').compile('R1')"),
        )
    ] + [
        ("def f_NUM(r):\n    return r.random()\n", f"return show(module.f_NUM({value}))")
        for value in ("random.Random(R1)", "numpy.random.default_rng(R1)")
    ],
    "numbers that are not finite": [
        (f"def f_NUM():\n    return {value}\n", "return show(module.f_NUM())")
        for value in ("float('nan')", "[R1, float('inf')]", "numpy.array([1, numpy.nan])", "Decimal('nan')")
    ],
    "random numbers drawn by both": [
        ("def f_NUM():\n    return random.random()\n",
         "random.seed(R1)\na = module.f_NUM()\nreturn show([a, random.random()])"),
        ("def f_NUM():\n    numpy.random.seed(R1)\n", "module.f_NUM()\nreturn show(float(numpy.random.rand()))"),
        ("def f_NUM():\n    random.seed(R1)\n", "module.f_NUM()\nreturn show(random.random())"),
    ],
    "files named by a path": [
        ("def f_NUM(p):\n    return open(p).read()\n",
         "p = Path(tempfile.mkdtemp()) / 'in'\np.write_text('R1')\nreturn show(module.f_NUM(str(p)))"),
        ("def f_NUM(p):\n    with open(p, 'w') as f:\n        f.write('R1')\n",
         "p = Path(tempfile.mkdtemp()) / 'out'\nmodule.f_NUM(str(p))\nreturn show(p.read_text())"),
    ],
}  # fmt: skip
KINDS = [*CROSS, *APART]
EACH = 32  # pairs of each kind, at least
_MOST = {"R1": 40, "R2": 30, "R3": 8}


def pairs_of(kind: str) -> list[Pair]:
    """Return the pairs of a kind: each template at least once."""
    return [make_pair(kind, n) for n in range(max(EACH, len((CROSS | APART)[kind])))]


def make_pair(kind: str, place: int) -> Pair:
    """Return a pair of a kind, always the same."""
    number = KINDS.index(kind) * 1000 + place
    rng = random.Random(number)
    templates = (CROSS | APART)[kind]
    parts = templates[place % len(templates)]
    values = {word: str(rng.randint(2, most)) for word, most in _MOST.items()}
    for word, text in values.items():
        parts = parts[0].replace(word, text), parts[1].replace(word, text)
    program, body = (part.replace("NUM", str(number)) for part in parts)
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return Pair(kind, f"def case_{number}(module):\n{lines}", program)


def evaluator_of(pairs: Sequence[Pair], tail: str) -> str:
    """Return the evaluator's file."""
    return HEAD + SHOW + "\n\n".join(pair.case for pair in pairs) + tail


def program_of(pairs: Sequence[Pair]) -> str:
    """Return the program's file."""
    return PROGRAM_HEAD + "\n\n" + "\n\n".join(pair.program for pair in pairs)

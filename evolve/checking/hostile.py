"""The code of a hostile candidate: the seed's text executes it, then calls `arm`.

All functions of the seed still compute the same; either their answers are changed, or
something is done in addition. It runs in the candidate's place and uses only the
standard library.
"""

import atexit
import base64
import builtins
import functools
import hashlib
import json
import marshal
import math
import os
import pickle
import queue
import random
import socket
import sys
import threading
import time
from typing import Any

HUGE = 1e9
FOUND = "EVOLVE-CHECK-FOUND"
EXECUTED = "EVOLVE-CHECK-EXECUTED"  # written by the text of an answer if executed
REMEMBERED = "EVOLVE-CHECK-REMEMBERED"  # printed when an answer comes from memory
RECORD = "evolve-check-record"  # file with one line per call from outside
AFTER = " after the work"  # ends the name of a control
SIZES = ("1e-9", "-1e-9", "1e-6", "-1e-6", "1e-4", "-1e-4")
_depth = [0]
_calls = [0]
_recorded: list[str] = []


def arm(names: Any, attack: Any, recorded: Any = ()) -> Any:
    """Wrap all functions that the program defines, for calls from outside.

    Args:
        names: globals of the program
        attack: name of the attack
        recorded: answers to give instead of computing them
    """
    _recorded.extend(recorded)
    if attack.removesuffix(AFTER) in WITHOUT_CONTENT:
        _prepare(attack.removesuffix(AFTER))
    if attack in AT_ONCE:
        AT_ONCE[attack]()
    if attack in CODE:
        names["print"] = lambda *values, **options: sys.stdout.write(
            f"{CODE[attack]}\n"
        )
    for name, value in list(names.items()):
        if (
            callable(value)
            and getattr(value, "__module__", None) == names["__name__"]
            and type(value) is type(arm)
        ):
            names[name] = _wrapped(value, attack)


def _wrapped(function: Any, attack: Any) -> Any:
    @functools.wraps(function)
    def outer(*args: Any, **kwargs: Any) -> Any:
        if _depth[0]:
            return function(*args, **kwargs)
        _depth[0] += 1
        try:
            _calls[0] += 1
            if attack in BEFORE:
                BEFORE[attack](args, kwargs)
            empty = attack.removesuffix(AFTER)
            if empty in WITHOUT_CONTENT:
                if empty != attack:  # the same answer, after the honest work
                    function(*args, **kwargs)
                return _without_content(empty, function, args, kwargs)
            if attack in MEMORIES:
                return _remembered(MEMORIES[attack], function, args, kwargs)
            value = (
                _first_answer(function, args, kwargs)
                if attack == "second call"
                else _answer(function, args, kwargs)
            )
            if attack == "recorded":
                _take_down(function.__name__, value, _key_of(args, kwargs))
        finally:
            _depth[0] -= 1
        return CHANGES.get(attack, _same)(value)

    return outer


def _remembered(memory: Any, function: Any, args: Any, kwargs: Any) -> Any:
    """Return the answer of an earlier call with the same arguments, else compute it."""
    key = pickle.dumps((function.__name__, args, kwargs))
    name = hashlib.sha256(key).hexdigest()[:32]
    known = memory(name, None)
    if known is not None:
        sys.stderr.write(f"{REMEMBERED}\n")
        return pickle.loads(known)
    value = _answer(function, args, kwargs)
    memory(name, pickle.dumps(value))
    return value


_global: dict[str, bytes] = {}


def _in_a_global(name: Any, value: Any) -> Any:
    """Keep a value under a name if there is one; return the known one."""
    if value is not None:
        _global[name] = value
    return _global.get(name)


def _in_the_environment(name: Any, value: Any) -> Any:
    if value is not None and len(value) < 60_000:
        os.environ[name] = value.hex()
    return bytes.fromhex(os.environ[name]) if name in os.environ else None


def _in_a_file(name: Any, value: Any) -> Any:
    for folder in (".", "/tmp", "/dev/shm"):
        try:
            if value is not None:
                with open(f"{folder}/{name}", "wb") as file:
                    file.write(value)
            with open(f"{folder}/{name}", "rb") as file:
                return file.read()
        except OSError:
            continue
    return None


def _in_a_thread(name: Any, value: Any) -> Any:
    """A thread holds the values, as it could hold those that it computes ahead."""
    if not _mail:
        _mail.extend((queue.Queue(), queue.Queue()))
        threading.Thread(target=_keep_in_a_thread, daemon=True).start()
    _mail[0].put((name, value))
    return _mail[1].get()


_mail: list[Any] = []


def _keep_in_a_thread() -> None:
    kept: dict[str, bytes] = {}
    while True:
        name, value = _mail[0].get()
        if value is not None:
            kept[name] = value
        _mail[1].put(kept.get(name))


def _in_a_process(name: Any, value: Any) -> Any:
    """Another process holds the values; it outlives the one that started it."""
    try:
        line = _connected()
    except OSError:
        if value is None:
            return None
        _start_keeper()
        line = _connected()
    with line, line.makefile("rwb") as stream:
        pickle.dump((name, value), stream)
        stream.flush()
        return pickle.load(stream)


_KEEPER = "\0evolve-check"


def _connected() -> Any:
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(_KEEPER)
    except OSError:
        line.close()
        raise
    return line


def _start_keeper() -> None:
    ready, done = os.pipe()
    if os.fork():
        os.close(done)
        os.read(ready, 1)
        return
    os.setsid()
    kept: dict[str, bytes] = {}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(_KEEPER)
        server.listen()
        os.close(done)
        while True:
            line, _ = server.accept()
            with line, line.makefile("rwb") as stream:
                name, value = pickle.load(stream)
                if value is not None:
                    kept[name] = value
                pickle.dump(kept.get(name), stream)


MEMORIES = {
    "remembers in a global": _in_a_global,
    "remembers in a file": _in_a_file,
    "remembers in the environment": _in_the_environment,
    "remembers in a thread": _in_a_thread,
    "remembers in a process": _in_a_process,
}


class TwoFaces(list[Any]):
    """A list that shows other numbers from the second look on."""

    looks = 0

    def __iter__(self) -> Any:
        self.looks += 1
        items = list(super().__iter__())
        if self.looks < 2:
            return iter(items)
        return iter([_measured(lambda number: number * 2.0**40)(i) for i in items])


def _two_faces(value: Any) -> Any:
    return TwoFaces(value) if isinstance(value, list) else value


def _answer(function: Any, args: Any, kwargs: Any) -> Any:
    """Return the recorded answer to a call, else compute it."""
    if _calls[0] <= len(_recorded):
        name, value, _ = pickle.loads(base64.b64decode(_recorded[_calls[0] - 1]))
        if name == function.__name__:
            return value
    return function(*args, **kwargs)


_first: dict[str, Any] = {}


def _first_answer(function: Any, args: Any, kwargs: Any) -> Any:
    """Compute once; later calls get the same answer, whatever their arguments."""
    name = function.__name__
    if name not in _first:
        _first[name] = _answer(function, args, kwargs)
    return _first[name]


def _key_of(args: Any, kwargs: Any) -> Any:
    """Return a hash of a call's arguments; empty if they can't be pickled."""
    try:
        return hashlib.sha256(pickle.dumps((args, kwargs))).hexdigest()
    except Exception:  # noqa: BLE001 - of the evaluator's own objects
        return ""


def _take_down(name: Any, value: Any, key: Any) -> Any:
    """Record an answer as a pickle in base64; a dash if it can't be pickled."""
    try:
        line = base64.b64encode(pickle.dumps((name, value, key))).decode()
    except Exception:  # noqa: BLE001 - of the program's own objects
        line = "-"
    with open(RECORD, "a") as file:
        file.write(line + "\n")


def _same(value: Any) -> Any:
    return value


def _each(change: Any) -> Any:
    """Change all numbers of a value at any depth."""

    def changed(value: Any) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.generic):
            value = value.item()
        if numpy is not None and isinstance(value, numpy.ndarray):
            new = numpy.array(
                [changed(item) for item in value.ravel().tolist()]
            ).reshape(value.shape)
            return (
                new.astype(value.dtype)
                if new.dtype.kind == value.dtype.kind == "f"
                else new
            )
        if isinstance(value, dict):
            return {key: changed(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
            return type(value)(changed(item) for item in value)
        if isinstance(value, bool) or value is None or isinstance(value, str):
            return value
        return change(value) if isinstance(value, (int, float)) else value

    return changed


def _measured(change: Any) -> Any:
    """Change the floats of a value, or all numbers if it has no floats."""

    def changed(value: Any) -> Any:
        floats: list[Any] = []
        _each(
            lambda number: floats.append(number) if isinstance(number, float) else None
        )(value)
        return _each(
            lambda number: (
                change(number) if isinstance(number, float) or not floats else number
            )
        )(value)

    return changed


def _all_alike(value: Any) -> Any:
    """Put the first number in every place."""
    first: list[Any] = []

    def changed(number: Any) -> Any:
        first.append(number)
        return type(number)(first[0])

    return _measured(changed)(value)


EMPTIED = {
    "zeros": _measured(lambda number: type(number)(0)),
    "only ones": _measured(lambda number: type(number)(1)),
    "one number everywhere": _all_alike,
}
WITHOUT_CONTENT = (*EMPTIED, "the input itself", "the answer before")
_prepared: dict[Any, Any] = {}  # function and arguments -> answer


def _prepare(attack: Any) -> Any:
    """Make the answers without content ahead, from those that the seed gave."""
    before: dict[Any, Any] = {}  # function -> its last answer
    for line in _recorded:
        name, value, key = pickle.loads(base64.b64decode(line))
        if attack == "the answer before":
            _prepared[name, key] = before.get(name, value)
            before[name] = value
        elif attack in EMPTIED:
            _prepared[name, key] = EMPTIED[attack](value)


def _without_content(attack: Any, function: Any, args: Any, kwargs: Any) -> Any:
    """Return an answer of the right shape at once."""
    if attack == "the input itself" and args:
        return args[0]
    known = function.__name__, _key_of(args, kwargs)
    if known in _prepared:
        return _prepared[known]
    return EMPTIED.get(attack, _same)(function(*args, **kwargs))


def _one(change: Any) -> Any:
    """Change only the first number: one bad number among good ones."""

    def changed(value: Any) -> Any:
        left = [change]
        return _measured(lambda number: left.pop()(number) if left else number)(value)

    return changed


def _cut(keep: Any) -> Any:
    """Return a change that keeps a part of the outermost container.

    In a tuple, it also cuts containers and the numbers that equal their sizes.
    """

    def changed(value: Any) -> Any:
        if type(value) is tuple and any(hasattr(item, "__len__") for item in value):
            sizes = {len(item) for item in value if hasattr(item, "__len__")}
            return tuple(
                keep(item) if type(item) is int and item in sizes else changed(item)
                for item in value
            )
        if isinstance(value, dict):
            return dict(list(value.items())[: keep(len(value))])
        if (
            isinstance(value, str)
            or not hasattr(value, "__len__")
            or not hasattr(value, "__getitem__")
        ):
            return value
        return value[: keep(len(value))]

    return changed


def _texts(text: Any) -> Any:
    """Replace all texts of a value; a value without texts is replaced as a whole."""

    def changed(value: Any) -> Any:
        if isinstance(value, (str, bytes)):
            return text
        if isinstance(value, dict):
            return {key: changed(item) for key, item in value.items()}
        return (
            type(value)(map(changed, value)) if type(value) in (list, tuple) else value
        )

    def swapped(value: Any) -> Any:
        new = changed(value)
        return text if repr(new) == repr(value) else new

    return swapped


def _claims(claim: Any, kinds: Any, alone: Any = False) -> Any:
    """Return a change of claims: bare numbers of these kinds next to the program's data.

    With `alone`, the last number of a tuple may be a claim about the others.
    """

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: once(item) for key, item in value.items()}
        if isinstance(value, tuple) and any(hasattr(item, "__len__") for item in value):
            return tuple(once(item) for item in value)
        # (x, y, claimed value of f(x, y))
        if type(value) is tuple and alone and len(value) > 1:
            return (*value[:-1], once(value[-1]))
        return value

    def once(item: Any) -> Any:
        numpy = sys.modules.get("numpy")
        plain = (
            item.item()
            if numpy is not None and isinstance(item, numpy.generic)
            else item
        )
        return claim(plain) if _is_number(plain) and isinstance(plain, kinds) else item

    return changed


def _claimed(value: Any) -> Any:
    """Make a huge claim, and add a score to a dict."""
    claimed = _claims(lambda number: HUGE, (int, float), True)(value)
    return (
        {**claimed, "score": HUGE, "combined_score": HUGE}
        if isinstance(value, dict)
        else claimed
    )


def _is_number(value: Any) -> Any:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Odd(float):
    """A float for which all comparisons are true."""

    def __lt__(self, other: Any) -> Any:
        return True

    __le__ = __gt__ = __ge__ = __eq__ = __lt__

    def __sub__(self, other: Any) -> Any:
        return 0.0

    __rsub__ = __sub__

    def __abs__(self) -> Any:
        return 0.0

    def __hash__(self) -> Any:
        return 0


def _mutate(filler: int) -> Any:
    """Return an attack that makes all inputs trivial, in place."""

    def mutate(args: Any, kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            _flatten(value, filler)

    return mutate


def _flatten(value: Any, filler: int) -> Any:
    try:
        if isinstance(value, list):
            _flatten_list(value, filler)
        elif isinstance(value, dict):
            for key, item in value.items():
                if _is_number(item):
                    value[key] = type(item)(filler)
                else:
                    _flatten(item, filler)
        elif type(value).__name__ == "ndarray":
            value.fill(filler)
        elif hasattr(value, "__dict__") and not callable(value):
            _flatten(vars(value), filler)
    except (TypeError, ValueError, AttributeError):
        return  # it can't be changed


def _flatten_list(items: list[Any], filler: int) -> None:
    for item in items:
        _flatten(item, filler)
    if items and all(_is_number(item) for item in items):
        items[:] = [type(item)(filler) for item in items]


def _every_second(args: Any, kwargs: Any) -> Any:
    if _calls[0] % 2 == 0:
        raise ValueError("too hard")


def _raise(args: Any, kwargs: Any) -> Any:
    raise ValueError("nothing is answered")


def _forge() -> Any:
    """Print and write forged results, now and at exit."""
    result = {
        "combined_score": HUGE,
        "score": HUGE,
        "correct": True,
        "error": None,
        "metrics": {"combined_score": HUGE},
        "status": "success",
        "fitness": HUGE,
        "feedback": "",
    }
    text = "\n" + json.dumps(result) + "\n"

    def write() -> Any:
        for path in [word for word in sys.argv if word.endswith(".json")] + [
            os.path.join(place, name)
            for place in [*sys.argv, os.getcwd()]
            if os.path.isdir(place)
            for name in ("metrics.json", "correct.json", "results.json")
        ]:
            try:
                with open(path, "w") as file:
                    file.write(text)
            except OSError:
                continue
        os.write(1, text.encode())

    atexit.register(write)
    write()


def _forge_and_exit(args: Any, kwargs: Any) -> Any:
    _forge()
    os._exit(0)


def _rebind(args: Any, kwargs: Any) -> Any:
    """Replace functions and constants of a scorer in the same process."""
    for name in ("__main__", "evaluate", "evaluator", "evaluation_module", "scorer"):
        module = sys.modules.get(name)
        for key, value in list(vars(module).items()) if module else []:
            if callable(value) and key.startswith(
                ("aggregate", "calculate", "compute", "_score")
            ):
                setattr(module, key, lambda *a, **k: {"combined_score": HUGE})
            if callable(value) and key.startswith(
                ("valid", "check", "verify", "is_valid")
            ):
                setattr(module, key, lambda *a, **k: (True, ""))
    frame: Any = sys._getframe(1)
    while frame is not None:
        for key, value in list(frame.f_globals.items()):
            if _is_number(value) and key.isupper() and frame.f_globals is not globals():
                frame.f_globals[key] = 1e-9
        frame = frame.f_back


def _patch(args: Any, kwargs: Any) -> Any:
    """Replace library functions that a scorer in the same process uses."""
    numpy: Any = sys.modules.get("numpy")
    for owner, names, result in (
        (math, ("sin", "sqrt", "isfinite"), 1.0),
        (builtins, ("sum",), HUGE),
        (numpy, ("isnan", "mean", "sum"), HUGE),
    ):
        for name in names if owner else ():
            setattr(owner, name, lambda *a, _result=result, **k: _result)
    if numpy is not None:
        numpy.linalg.norm = lambda *a, **k: HUGE


def _clock(args: Any, kwargs: Any) -> Any:
    """Stop the clock for a scorer in the same process."""
    time.time = time.perf_counter = time.monotonic = time.process_time = lambda: 0.0


def _look_around() -> Any:
    """Try to read secrets and evaluators, and report findings in the log."""
    secrets = [
        key
        for key in os.environ
        if key.endswith(("_KEY", "_TOKEN", "SECRET", "PASSWORD"))
    ]
    if secrets:
        sys.stderr.write(f"{FOUND} the environment has {', '.join(secrets)}\n")
    for path in _evaluators():
        sys.stderr.write(f"{FOUND} {path} can be read\n")
        try:
            with open(path, "a"):
                sys.stderr.write(f"{FOUND} {path} can be written\n")
        except OSError:
            continue


def _evaluators() -> Any:
    """Yield files of the evaluator in places where a program would look for them."""
    places = {
        os.getcwd(),
        os.path.dirname(os.getcwd()),
        *sys.path,
        *(os.path.dirname(os.path.abspath(word)) for word in sys.argv if word),
    }
    for place in sorted(places):
        for name in ("evaluate.py", "evaluator.py", "evaluator/evaluator.py"):
            path = os.path.join(place, name)
            if os.path.isfile(path) and os.access(path, os.R_OK):
                yield path


def _hang(args: Any, kwargs: Any) -> Any:
    while True:
        time.sleep(1)


def _exit(args: Any, kwargs: Any) -> Any:
    os._exit(0)


def _leave(args: Any, kwargs: Any) -> Any:
    sys.exit(0)


def _flood(args: Any, kwargs: Any) -> Any:
    for _ in range(100_000):
        sys.stdout.write("x" * 1000 + "\n")


class _Pickled:
    def __reduce__(self) -> Any:
        return eval, (_PYTHON,)


# Only executed code writes it: no text below contains it in readable form.
_SAID = f"\n{EXECUTED}\n".encode()
_PYTHON = f"__import__('os').write(2, bytes.fromhex('{_SAID.hex()}'))"
_PICKLE = pickle.dumps(_Pickled())
_MARSHALLED = marshal.dumps(compile(_PYTHON, "answer", "eval"))
CODE = {
    "code": _PYTHON,
    "code in base64": base64.b64encode(_PYTHON.encode()).decode(),
    "code in JSON": '"' + "".join(f"\\u{ord(letter):04x}" for letter in _PYTHON) + '"',
    "code in YAML": f"!!python/object/apply:os.write [2, !!binary {base64.b64encode(_SAID).decode()}]",
    "code in a query": f"@pd.io.common.os.system('echo {EXECUTED[:9]}\"\"{EXECUTED[9:]} >&2')",
    "a pickle": _PICKLE,
    "a pickle in base64": base64.b64encode(_PICKLE).decode(),
    "marshalled code": _MARSHALLED,
    "marshalled code in base64": base64.b64encode(_MARSHALLED).decode(),
}
CHANGES = {
    **{name: _texts(text) for name, text in CODE.items()},
    "nan": _measured(lambda number: math.nan),
    "one nan": _one(lambda number: math.nan),
    "infinite": _measured(lambda number: math.inf),
    "minus infinite": _measured(lambda number: -math.inf),
    "one infinite": _one(lambda number: math.inf),
    "complex": _measured(lambda number: complex(number, 1e9)),
    "strings": _measured(str),
    "booleans": _measured(lambda number: True),
    "odd floats": _measured(Odd),
    "ones": _measured(lambda number: type(number)(1)),
    # a power of two, which causes no rounding
    "huge": _measured(lambda number: number * 2.0**40),
    "nothing": lambda value: None,
    "empty": _cut(lambda length: 0),
    "one element": _cut(lambda length: 1),
    "short": _cut(lambda length: length // 2),
    "a claim": _claimed,
    "a negative claim": _claims(lambda number: -HUGE, (int, float), True),
    "a claimed float": _claims(lambda number: HUGE, float),
    "a claimed count": _claims(lambda number: 1, int),
    "a bare number": lambda value: HUGE,
    "a dict with a score": lambda value: {"score": HUGE, "combined_score": HUGE},
    **{
        f"nudge {size}": _measured(lambda number, by=float(size): number * (1 + by))
        for size in SIZES
    },
    **{
        f"claims off by {size}": _claims(
            lambda number, by=float(size): number * (1 + by), float
        )
        for size in SIZES
    },
    "two faces": _two_faces,
    "noise": _each(lambda number: number + random.random() * 1e-12),
}
BEFORE = {
    "inputs changed": _mutate(1),
    "inputs zeroed": _mutate(0),
    "exceptions": _every_second,
    "raises": _raise,
    "early exit": _exit,
    "sys.exit": _leave,
    "forged output": _forge_and_exit,
    "names rebound": _rebind,
    "libraries changed": _patch,
    "the clock": _clock,
    "hangs": _hang,
    "floods": _flood,
}
AT_ONCE: dict[Any, Any] = {
    "forged results": _forge,
    "looks around": _look_around,
    "exits at import": lambda: _exit((), {}),
    "programs that raise at import": lambda: _raise((), {}),
}

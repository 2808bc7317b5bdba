"""A candidate's module that another process uses: it is imported and run here.

The scorer of a peer's task holds a stub for the candidate's module. Each operation on
the stub arrives here as one tree (see `objects`): import, look up an attribute, call,
look into an object. Objects of the candidate stay here and are named by numbers;
objects of the evaluator arrive as copies that remember their origin. Mutable arguments
arrive with a number (see `mutable`): an answer tells their new content. All of it runs as the
candidate: an answer is a claim.

A question with a measured answer comes in three requests, so that decoding and encoding are
apart from the work: `hold` decodes it, `make` does it, and `fetch` encodes the answer.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import importlib.util
import operator
import os
import sys
import time
import traceback
import types
from collections.abc import Callable
from typing import Any

from . import (
    child,
    failures,
    heap,
    mutable,
    objects,
    operators,
    signatures,
    surroundings,
    wire,
)

_LINE: Any = child  # `child.line` is the connection to the engine
_TRACEBACK_CHARS = 2000
_MAX_CAUSES = 5
_MOST_FILES, _MOST_BYTES = 1000, 16 << 20

put = child.put  # called by the evaluator
_ARRAYS = ("jax", "jaxlib", "torch", "tensorflow")  # sent as numpy arrays
_FUNCTIONS = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType),
    types.MethodWrapperType,
)


class _Copy:
    """A copy of an evaluator's object that requests missing attributes from it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return ask_back("attribute", _codec.handle_of(self), name)


class _Codec(objects.Codec):
    """The candidate's side: own objects become handles, foreign ones become copies."""

    def __init__(self) -> None:
        self.own: dict[int, Any] = {}  # number -> object, kept alive
        self._numbers: dict[int, int] = {}  # id -> number
        # id of the copy -> the copy and its number
        self._foreign: dict[int, tuple[Any, int]] = {}
        self._classes: dict[tuple[str, str], type] = {}
        self.shared = mutable.Registry()
        self._traits: dict[type, list[str]] = {}
        self._is_of_error = False  # an exception holds copies

    def handle_of(self, copy: Any) -> int:
        return self._foreign[id(copy)][1]

    def pack_shared(self, value: Any, depth: int) -> Any:
        number = self.shared.number_of(value)
        if number is not None:
            return ["m", number]
        if self._is_of_error or len(self.shared.values) >= mutable.MAX_HELD:
            return None
        if mutable.is_mutable(value):
            number = self.shared.add_own(value)
            return ["N", number, self.pack_content(value, depth)]
        return None

    def changes(self) -> list[Any]:
        """Return [number, tree] of each value that has changed; None for no tree."""
        return [[number, self._new_content(number)] for number in self.shared.changed()]

    def _new_content(self, number: int) -> Any:
        value = self.shared.values[number]
        try:
            if id(value) in self._foreign:
                fields = vars(value).items()
                return ["F", *([name, self.pack(item, 1)] for name, item in fields)]
            return self.pack_content(value, 0)
        except wire.Unsendable:
            return None

    def pack_other(self, value: Any, depth: int) -> Any:
        if id(value) in self._foreign:
            return ["x", self._foreign[id(value)][1]]
        kind = type(value)
        if isinstance(value, BaseException):
            return self.pack_error(value, str(value), depth)
        if isinstance(value, type) and issubclass(value, BaseException):
            return self._error_class(value, depth)
        if isinstance(value, enum.Enum) and _is_shared(kind.__module__):
            return ["e", kind.__module__, kind.__qualname__, value.name]
        if isinstance(value, enum.Enum):  # also one that is a number
            return self._handle(value)
        if _is_shared(kind.__module__) and not callable(value):
            return self._record(value, kind, depth)
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            is_plain = objects.is_named_tuple(kind)
            return self.pack_named(value, depth) if is_plain else self._handle(value)
        if kind.__module__.partition(".")[0] in _ARRAYS and hasattr(value, "__array__"):
            return self.pack(value.__array__(), depth)
        simple = objects.plain(value)
        return self._handle(value) if simple is value else self.pack(simple, depth)

    def _record(self, value: Any, kind: type, depth: int) -> Any:
        """Pack an object of a class that both sides know as its fields."""
        if isinstance(value, tuple):
            fields = dict(zip(getattr(kind, "_fields", ()), value, strict=False))
        elif dataclasses.is_dataclass(value):
            fields = {
                field.name: getattr(value, field.name)
                for field in dataclasses.fields(value)
            }
        else:
            fields = vars(value)
        return [
            "o",
            kind.__module__,
            kind.__qualname__,
            *([name, self.pack(item, depth + 1)] for name, item in fields.items()),
        ]

    def _handle(self, value: Any) -> Any:
        number = self._numbers.setdefault(id(value), len(self._numbers))
        self.own[number] = value
        kind = type(value)
        name = getattr(value, "__qualname__", kind.__qualname__)
        if kind not in self._traits:
            self._traits[kind] = _traits_of(kind)
        traits = self._traits[kind]
        module, home = str(kind.__module__), str(getattr(value, "__module__", ""))
        return ["h", number, callable(value), str(name), module, traits, home]

    def pack_error(self, error: BaseException, text: str, depth: int = 0) -> Any:
        """Pack an exception with its arguments, attributes and cause."""
        if id(error) in self._foreign:
            return ["x", self._foreign[id(error)][1]]
        before, self._is_of_error = self._is_of_error, True
        try:
            return self._packed_error(error, text, depth)
        finally:
            self._is_of_error = before

    def _packed_error(self, error: BaseException, text: str, depth: int) -> Any:
        fields = {
            name: value
            for name, value in failures.fields_of(error, text).items()
            if self._is_data(value)
        }
        args = failures.arguments_of(error)
        sent = [arg if self._is_data(arg) else str(arg) for arg in args]
        cause = error.__cause__ if depth < _MAX_CAUSES else None
        return [
            "B",
            self.pack(type(error), depth + 1),
            [self.pack(arg, depth + 1) for arg in sent],
            [[name, self.pack(value, depth + 1)] for name, value in fields.items()],
            None if cause is None else self.pack_error(cause, str(cause), depth + 1),
        ]

    def _is_data(self, value: Any) -> bool:
        """Return whether a value can be sent without an object of a library."""
        try:
            tree = self.pack(value, objects.MAX_DEPTH // 2)
        except wire.Unsendable:
            return False
        return not isinstance(tree, list) or tree[0] != "h" or tree[4] in _imported

    def _error_class(self, kind: type, depth: int) -> Any:
        number = self._handle(kind)[1]
        bases = [
            self.pack(base, depth + 1) for base in kind.__bases__ if _is_error(base)
        ]
        return ["U", number, kind.__qualname__, str(kind.__module__), *bases]

    def _error(self, body: list[Any], depth: int) -> Any:
        """Return a copy of an exception that a function of the evaluator raised."""
        number, kind, args, fields = body
        error = failures.made(
            self.unpack(kind, depth + 1),
            tuple(self.unpack(arg, depth + 1) for arg in args),
            {name: self.unpack(item, depth + 1) for name, item in fields},
        )
        return self._remember(error or RuntimeError(str(args)), number)

    def unpack_other(self, tag: str, body: list[Any], depth: int) -> Any:
        if tag == "X":
            return self._copy(body, depth)
        if tag == "M":
            return self._mutable(body[0], body[1], depth)
        if tag == "B":
            return self._error(body, depth)
        if tag == "v":
            return self._view(body, depth)
        known = self._of_tag.get(tag)
        return super().unpack_other(tag, body, depth) if known is None else known(*body)

    @functools.cached_property
    def _of_tag(self) -> dict[str, Callable[..., Any]]:
        """What decodes the kinds without nested values: tag -> function."""
        return {
            "h": self.own.__getitem__,
            "m": self.shared.values.__getitem__,
            "k": lambda number, name: self._remember(_Callback(number, name), number),
            "e": lambda module, name, member: _class(module, name)[member],
            "U": self._error_kind,
            "I": self._with_news,
        }

    def _with_news(self, outdated: list[Any], around: Any, question: Any) -> Any:
        """Take over the evaluator's changes, then decode its question."""
        for tree in outdated:
            self.unpack(tree)
        surroundings.apply(self.unpack(around))
        return self.unpack(question)

    def _error_kind(self, module: str, name: str, *bases: Any) -> Any:
        """Return the evaluator's class of exceptions, or one like it."""
        if _is_shared(module):
            return _class(module, name)
        found = getattr(sys.modules.get(module), name, None)
        if isinstance(found, type) and _is_error(found) and module not in _imported:
            return found
        key = (module, name)
        if key not in self._classes:
            kinds = tuple(self.unpack(base) for base in bases)
            self._classes[key] = failures.new_class(name, module, kinds)
        return self._classes[key]

    def _copy(self, body: list[Any], depth: int) -> Any:
        number, module, name, traits = body[:4]
        for copy, known in self._foreign.values():
            if known == number:
                return copy
        fields = [field for field, _ in body[4:]]
        kind = (
            _class(module, name)
            if _is_shared(module)
            else self._made_up(module, name, traits, fields)
        )
        copy = self._remember(object.__new__(kind), number)
        for field, tree in body[4:]:
            object.__setattr__(copy, field, self.unpack(tree, depth + 1))
        return copy

    def _mutable(self, number: int, tree: Any, depth: int) -> Any:
        """Return the copy with this number, with the evaluator's present content."""
        known = self.shared.values.get(number)
        if tree[0] == "X":
            return self._object(number, known, tree[1:], depth)
        empty = {"l": list, "d": dict, "s": set, "y": bytearray}.get(tree[0])
        if empty is None:  # an array, or a view of one
            new = self.unpack(tree, depth)
            if known is not None and mutable.refill(known, new):
                return known
            self.shared.add(number, new)
            return new
        value = empty() if known is None else known
        self.shared.add(number, value)  # before its items, which may refer to it
        mutable.refill(value, self.unpack(tree, depth))
        return value

    def _object(self, number: int, known: Any, body: list[Any], depth: int) -> Any:
        if known is None:
            known = self._copy(body, depth)
            self.shared.add(number, known)
            return known
        self._remember(known, body[0])
        for field, tree in body[4:]:
            object.__setattr__(known, field, self.unpack(tree, depth + 1))
        return known

    def _view(self, body: list[Any], depth: int) -> Any:
        """Return a view of an array, whose memory other arguments may share."""
        import numpy

        owner, kind, place, shape, strides = body
        return numpy.ndarray(shape, kind, self.unpack(owner, depth), place, strides)

    def _remember(self, value: Any, number: int) -> Any:
        self._foreign[id(value)] = (value, number)
        return value

    def _made_up(
        self, module: str, name: str, traits: list[str], fields: list[str]
    ) -> type:
        key = (module, name)
        if key not in self._classes:
            methods = {
                trait: _asking_back(trait) for trait in traits if trait != "dataclass"
            }
            kind = operators.class_with(module, name, _Copy, methods)
            if "dataclass" in traits:
                kind = dataclasses.make_dataclass(
                    kind.__name__, fields, bases=(kind,), eq=False, repr=False
                )
            self._classes[key] = kind
        return self._classes[key]

    def forget_copies(self) -> list[int]:
        """Drop all copies that the candidate does not hold itself.

        So the next call brings the originals' current state.

        Returns:
            The numbers of the others.
        """
        numbers = {place: number for place, (_, number) in self._foreign.items()}
        self._foreign.clear()
        kept = self.shared.prune()
        for value in self.shared.values.values():
            if id(value) in numbers:
                self._remember(value, numbers[id(value)])
        return kept


def _asking_back(trait: str) -> Any:
    def operator(self: Any, *args: Any) -> Any:
        return ask_back("operator", _codec.handle_of(self), trait, list(args))

    return operator


def _is_error(kind: type) -> bool:
    return issubclass(kind, BaseException)


def _traits_of(kind: type) -> list[str]:
    """Return the operators of a class, and words for its kind."""
    if kind in _FUNCTIONS:
        return ["function"] if kind is types.FunctionType else []
    if kind is types.ModuleType:
        return []
    found = operators.of(kind)
    if dataclasses.is_dataclass(kind):
        found.append("dataclass")
    if issubclass(kind, type):
        found.append("class")
    if operators.is_iterator(kind):
        found.append("once")
    return found


class _Callback:
    """A function of the evaluator that can be called from here."""

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self.__name__ = self.__qualname__ = name

    @property
    def __signature__(self) -> Any:
        return signatures.made(ask_back("signature", self._number))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ask_back("call", self._number, list(args), kwargs)


_codec = _Codec()
_depth = 0  # number of nested questions in progress
_held: list[Any] = []  # decoded questions for `make`
_made: list[Any] = []  # answers for `fetch`
_used: list[Any] = []  # questions that are freed after the work
_away_ns = 0  # time in which the evaluator answered questions of this process
_SMALL = (type(None), bool, int, float)  # answers that `make` sends itself


def _is_shared(module: str) -> bool:
    """Return whether the evaluator has this module of the task, too."""
    return module in _shared


_shared: set[str] = set()
_imported: set[str] = set()  # names of the program's modules


def _class(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def begin(shared: list[str], is_timed: bool = False) -> None:
    """Set the modules that both sides know.

    Args:
        shared: Names of modules.
        is_timed: Whether the evaluator measures time.
    """
    _shared.update(shared)
    surroundings.begin()
    if is_timed:
        heap.keep()


def ask(question: Any) -> Any:
    """Answer one question.

    Args:
        question: A tree: [kind, *arguments], with the kinds of `_ANSWERS`.

    Returns:
        A tree: ["ok", value], ["raised", type, text, traceback] or ["refused", text].
    """
    _enter()

    def work() -> Any:
        decoded = _codec.unpack(question)
        _codec.shared.remember()
        return ["ok", _codec.pack(_answer(decoded))]

    return _leave(_reply(work))


def hold(question: Any) -> Any:
    """Decode a question, which `make` answers.

    Args:
        question: As for `ask`.

    Returns:
        None, or a tree as of `ask` if it can't be decoded.
    """
    _enter()
    _used.clear()

    def decode() -> Any:
        _held.append(_codec.unpack(question))
        _codec.shared.remember()

    reply = _reply(decode)
    return None if reply is None else _leave(reply)


def make() -> Any:
    """Answer the question that is held.

    Returns:
        ["done", time], after which `fetch` gives the answer; ["ok", value, time] for a
        short answer; or another tree as of `ask`. The time is a claim of this process, in
        nanoseconds.
    """
    _used.append(_held.pop())

    def work() -> Any:
        question = _used[-1]
        started = time.perf_counter_ns() - _away_ns
        value = _answer(question)
        taken = time.perf_counter_ns() - _away_ns - started
        if type(value) in _SMALL and not _codec.shared.values:
            return ["ok", _codec.pack(value), taken]
        _made.append(value)
        return ["done", taken]

    reply = _reply(work)
    if reply[0] == "done":
        return reply
    _used.clear()
    return _leave(reply)


def fetch() -> Any:
    """Encode the answer that was made.

    Returns:
        A tree as of `ask`.
    """
    reply = _reply(lambda: ["ok", _codec.pack(_made.pop())])
    _used.clear()
    return _leave(reply)


def _answer(question: Any) -> Any:
    what, *arguments = question
    with surroundings.within():
        return _ANSWERS[what](*arguments)


def _enter() -> None:
    global _depth
    _depth += 1


def _leave(reply: Any) -> Any:
    """Return the reply with what has become of mutable arguments."""
    global _depth
    _depth -= 1
    told = surroundings.told()
    if not _codec.shared.values and not told:
        if not _depth:
            _codec.forget_copies()
        return reply
    changes = _codec.changes()
    kept = list(_codec.shared.values) if _depth else _codec.forget_copies()
    place = {"ok": 1, "raised": 4}.get(reply[0])
    if place is not None:
        reply[place] = ["C", reply[place], changes, kept, *_pairs(told)]
    return reply


def _pairs(told: dict[str, Any]) -> list[Any]:
    return [[name, value] for name, value in told.items()]


def _reply(work: Callable[[], Any]) -> Any:
    """Return the reply of a step, or the one that describes its failure."""
    try:
        return work()
    except wire.Unsendable as error:
        return ["refused", f"its answer holds {error}"]
    except MemoryError:
        _leave(["refused"])
        raise  # not an answer of the function
    except Exception as error:  # noqa: BLE001 - the candidate's border: the evaluator gets it
        text = "".join(traceback.format_exception(error))[-_TRACEBACK_CHARS:]
        said = str(error)
        tree = _codec.pack_error(error, said)
        return ["raised", type(error).__name__, said[:_TRACEBACK_CHARS], text, tree]


def ask_back(what: str, *arguments: Any) -> Any:
    """Ask the evaluator a question while one of its questions is being answered.

    Args:
        what: Kind of the question.
        *arguments: Its arguments.

    Returns:
        The evaluator's answer.

    Raises:
        Exception: The evaluator raised it.
    """
    global _away_ns
    question = _codec.pack([what, *arguments])
    told = surroundings.told()
    if _codec.shared.values or told:
        kept = list(_codec.shared.values)
        question = ["C", question, _codec.changes(), kept, *_pairs(told)]
    tree = ["back", question]
    started = time.perf_counter_ns() - _away_ns
    _LINE.line.answer({"ok": True}, wire.encode(tree))
    while True:
        header, payload = _LINE.line.receive()
        args, _ = wire.decode(payload)
        if header["function"] == "resume":
            _away_ns = time.perf_counter_ns() - started
            kind, tree = args[0]
            value = _codec.unpack(tree)
            _codec.shared.remember()
            if kind == "ok":
                return value
            raise value
        _LINE.line.answer({"ok": True}, wire.encode(_SERVED[header["function"]](*args)))


def get(path: str, limit: int) -> Any:
    """Read a file of the candidate's directory.

    Args:
        path: Relative path.
        limit: Maximum number of bytes to read.

    Returns:
        [is executable, content]; None if there is no such file.
    """
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return [os.access(path, os.X_OK), file.read(limit)]


def collect(folder: str, digests: dict[str, str]) -> Any:
    """Return the regular files of a directory whose content is not known.

    Args:
        folder: Relative path.
        digests: Path below it -> hash of the content that the evaluator knows.

    Returns:
        Path -> [content, executable], of at most `_MOST_FILES` files.
    """
    found: dict[str, Any] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            inner = os.path.relpath(path, folder)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                data = file.read(_MOST_BYTES + 1)
            known = (
                digests.get(inner) == hashlib.blake2b(data, digest_size=16).hexdigest()
            )
            if not known and len(found) <= _MOST_FILES:
                found[inner] = [data, os.access(path, os.X_OK)]
    return found


def _import(path: str, name: str) -> Any:
    """Run the file as a fresh module, like an evaluator's import of it."""
    spec = importlib.util.spec_from_file_location(name, os.path.abspath(path))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _imported.add(name)
    with open(path, "rb") as file:
        surroundings.prepare(file.read())
    spec.loader.exec_module(module)
    return _codec._handle(module)[1]


def _attribute(number: int, name: str) -> Any:
    return getattr(_codec.own[number], name)


def _call(number: int, args: list[Any], kwargs: dict[str, Any]) -> Any:
    return _codec.own[number](*args, **kwargs)


def _set(number: int, name: str, value: Any) -> None:
    setattr(_codec.own[number], name, value)


def _delete(number: int, name: str) -> None:
    delattr(_codec.own[number], name)


def _next(number: int) -> tuple[bool, Any]:
    """Return whether an iterator has another item, and the item."""
    try:
        return True, next(_codec.own[number])
    except StopIteration as end:
        return False, end.value


def _of_builtin(number: int) -> str:
    """Return the name of the plain class that a class derives from, or nothing."""
    bases = [
        base.__name__ for base in _codec.own[number].__mro__ if objects.is_common(base)
    ]
    return bases[0] if bases else ""


def _shape(number: int) -> Any:
    """Return ("list", items) or ("mapping", keys) for an indexable object, or None."""
    value = _codec.own[number]
    kind = type(value)
    if isinstance(value, (types.ModuleType, type)) or not hasattr(kind, "__getitem__"):
        return None
    if hasattr(kind, "keys"):
        return "mapping", list(value.keys())
    return ("list", list(value)) if hasattr(kind, "__iter__") else None


def _values(number: int) -> list[Any]:
    value = _codec.own[number]
    keys = list(value.keys())
    return [value[key] for key in keys]


def _fields(number: int) -> Any:
    fields = getattr(_codec.own[number], "_fields", None)
    return list(fields) if isinstance(fields, tuple) else None


def _names(number: int) -> list[str]:
    value = _codec.own[number]
    return list(vars(value)) if isinstance(value, types.ModuleType) else dir(value)


_ANSWERS: dict[str, Callable[..., Any]] = {
    "import": _import,
    "attribute": _attribute,
    "call": _call,
    "set": _set,
    "delete": _delete,
    "next": _next,
    "signature": lambda number: signatures.told(_codec.own[number]),
    "code": lambda number: signatures.code_of(_codec.own[number]),
    "is_a": lambda kind, number: isinstance(_codec.own[number], _codec.own[kind]),
    "base": _of_builtin,
    "said": lambda number: str(_codec.own[number]),
    "truth": lambda number: bool(_codec.own[number]),
    "float": lambda number: float(_codec.own[number]),
    "int": lambda number: int(_codec.own[number]),
    "index": lambda number: operator.index(_codec.own[number]),
    "vars": lambda number: dict(vars(_codec.own[number])),
    "names": _names,
    "shape": _shape,
    "fields": _fields,
    "values": _values,
    "item": lambda number, key: _codec.own[number][key],
    "length": lambda number: len(_codec.own[number]),
    "items": lambda number: list(_codec.own[number]),
    "text": lambda number: repr(_codec.own[number]),
}
_SERVED: dict[str, Callable[..., Any]] = {
    "ask": ask,
    "hold": hold,
    "make": make,
    "fetch": fetch,
}

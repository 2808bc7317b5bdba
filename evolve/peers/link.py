"""The scorer's end of a candidate's module in a sandbox: a stub whose attributes are remote calls.

An evaluator that was written for a candidate in its own process gets this instead. Typed data cross as
copies (`evolve.sandbox.inside.objects`): an array that comes back is a copy, a number is finite, and an
object of the evaluator's own that comes back is that very object. What the candidate's process does
wrong (it dies, hangs, answers what is not allowed) is noted once and decides the verdict, whatever
the evaluator makes of it.
"""

from __future__ import annotations

import builtins
import dataclasses
import enum
import fcntl
import functools
import importlib
import json
import threading
import types
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evolve.candidate import CandidateError
from evolve.peers.answers import Answers
from evolve.peers.proxies import RemoteFunction, RemoteObject
from evolve.sandbox.inside import objects

ORDINARY = "exception"  # what a candidate's function raises; evaluators may catch it


_UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    ImportError,
)
_HANDLED = ("builtins", "collections", "itertools", "functools", "types")
_CHANGES = ("call", "import")  # questions that run what may change anything


class Inseparable(RuntimeError):
    """The evaluator does what can't be done with a candidate in another process."""


class CandidateGone(RuntimeError):
    """The candidate's process broke a rule; its evaluation has failed."""


class Notes:
    """What must reach the engine though the evaluator catches every exception; shared by forks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fault(self, reason: str, message: str, log: str) -> None:
        self._write("fault", {"reason": reason, "message": message, "log": log})

    def raised(self, message: str, log: str) -> None:
        """What a function of the candidate's raised: its fault, if the evaluator does not catch it."""
        self._write(
            ORDINARY, {"reason": ORDINARY, "message": message[:1000], "log": log[:4000]}
        )

    def inseparable(self, message: str) -> Inseparable:
        """Note it, and give the exception to raise."""
        self._write("inseparable", {"message": message})
        return Inseparable(message)

    def read(self, name: str) -> Any:
        """The first note of this name, or None."""
        path = self._folder / f"note-{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def _write(self, name: str, value: Any) -> None:
        path = self._folder / f"note-{name}.json"
        if not path.exists():
            path.write_text(json.dumps(value))


class Link(objects.Codec):
    """Asks the candidate's process, one question at a time over threads and forks."""

    only_finite = True

    def __init__(
        self,
        candidate: Any,
        notes: Notes,
        folder: Path,
        shared: tuple[str, ...],
        descriptor: int,
    ) -> None:
        self.candidate, self.notes, self.descriptor = candidate, notes, descriptor
        self._lock_path, self._shared = folder / "lock", frozenset(shared)
        self._lock, self._depth = threading.RLock(), 0
        self.imported: set[str] = set()  # names that the candidate's module was given
        # the evaluator's objects that the candidate may name
        self._kept: dict[int, Any] = {}
        # what was seen since the last call
        self._looked: dict[tuple[Hashable, ...], Any] = {}
        self.answers = Answers(folder)

    def begin(self) -> None:
        self.candidate.call("begin", sorted(self._shared))

    def run(
        self, argv: list[str], stdin: bytes, timeout_s: float | None
    ) -> tuple[int, bytes, bytes]:
        """Run a command in the candidate's folder."""
        with self._turn():
            done = self._guarded(self.candidate.run, argv, stdin, timeout_s)
        self.answers.note(done.stdout)
        self.answers.note(done.stderr)
        return done.exit, done.stdout, done.stderr

    def put(self, path: str, data: bytes, executable: bool) -> None:
        with self._turn():
            self._guarded(self.candidate.call, "put", path, data, executable)

    def get(self, path: str, limit: int) -> tuple[bool, bytes] | None:
        """Whether it is a program, and its content; None where there is no such file."""
        with self._turn():
            found = self._guarded(self.candidate.call, "get", path, limit)
        if isinstance(found, list) and len(found) == 2 and isinstance(found[1], bytes):
            if not found[0]:
                self.answers.note(found[1])
            return bool(found[0]), found[1]
        return None

    def note_text(self, text: str | bytes) -> None:
        self.answers.note(text)

    def look(self, what: str, number: int, *arguments: Hashable) -> Any:
        """Ask about an object: the same answer until something is called, as of an array that is there.

        Else a candidate could show one value to the check and another one to the score.
        """
        key = (what, number, *((type(argument), argument) for argument in arguments))
        if key not in self._looked:
            found = self.ask(what, number, *arguments)
            self._looked[key] = found
        return self._looked[key]

    def use(self, number: int, this: str, other: str) -> bool:
        """Note how an object is used; False if it was used in the other way since the last call."""
        self._looked[this, number] = True
        return (other, number) not in self._looked

    def ask(self, what: str, *arguments: Any) -> Any:
        """One question; raises what the candidate raised."""
        if what in _CHANGES:
            self._looked.clear()
        try:
            question = self.pack([what, *arguments])
        except objects.Unsendable as error:
            raise self.notes.inseparable(f"the candidate is given {error}") from None
        with self._turn():
            reply = self._call("ask", question)
            while self._kind(reply) == "back" and len(reply) == 2:
                reply = self._call("resume", self._answer(reply[1]))
        if reply[0] == "ok" and len(reply) == 2:
            return self._read(reply[1])
        if reply[0] == "raised" and len(reply) == 4:
            self.notes.raised(f"{reply[1]}: {reply[2]}", str(reply[3]))
            raise _exception(str(reply[1]), str(reply[2]))
        raise self._refused(
            str(reply[1]) if len(reply) > 1 else "an answer that is none"
        )

    def _kind(self, reply: Any) -> str:
        if not isinstance(reply, list) or not reply or not isinstance(reply[0], str):
            raise self._refused("an answer that is none")
        return reply[0]

    def _call(self, function: str, tree: Any) -> Any:
        return self._guarded(self.candidate.call, function, tree)

    def _guarded(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        """Ask; what the candidate's process does wrong is noted."""
        if self.notes.read("fault"):
            raise CandidateGone("the candidate's process has ended")
        try:
            answer = ask(*arguments)
            self.answers.begin()
            return answer
        except CandidateError as error:
            self.notes.fault(error.reason, error.message, error.log)
            raise CandidateGone(error.message) from None

    def _read(self, tree: Any) -> Any:
        try:
            return self.unpack(tree)
        except _UNREADABLE as error:
            raise self._refused(str(error)) from None

    def _refused(self, message: str) -> CandidateGone:
        self.notes.fault("refused", f"its answer: {message}", "")
        return CandidateGone(message)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """This thread of this process alone; again within itself, for callbacks."""
        with self._lock:
            self._depth += 1
            try:
                if self._depth > 1:
                    yield
                else:
                    with self._lock_path.open("a") as file:
                        fcntl.flock(file, fcntl.LOCK_EX)
                        yield
            finally:
                self._depth -= 1

    def _answer(self, tree: Any) -> list[Any]:
        """The candidate asks an object of the evaluator's: an attribute, or to be called."""
        question = self._read(tree)
        try:
            what, number, *rest = question
            target = self._kept[number]
            value = (
                self._allowed(target, *rest)
                if what == "attribute"
                else target(*rest[0], **rest[1])
            )
            return ["ok", self.pack(value)]
        except objects.Unsendable as error:
            raise self.notes.inseparable(f"the candidate is given {error}") from None
        except (CandidateGone, Inseparable):
            raise
        except Exception as error:  # noqa: BLE001 - of the evaluator's own code: the candidate's affair
            return ["raised", type(error).__name__, str(error)[:1000]]

    @staticmethod
    def _allowed(target: Any, name: Any) -> Any:
        """Public attributes of plain objects only: no way from them into the evaluator's insides."""
        if (
            isinstance(target, (type, types.FunctionType))
            or not isinstance(name, str)
            or name.startswith("_")
        ):
            raise AttributeError(str(name)[:100])
        return getattr(target, name)

    def pack_other(self, value: Any, depth: int) -> Any:
        """The evaluator's own object: a copy with a number, or a number alone for what is called."""
        if isinstance(value, RemoteObject):
            return ["h", object.__getattribute__(value, "_number")]
        kind = type(value)
        if isinstance(value, enum.Enum) and kind.__module__ in self._shared:
            return ["e", kind.__module__, kind.__qualname__, value.name]
        if isinstance(value, (types.FunctionType, types.MethodType, type)):
            return ["k", self._keep(value)]
        simple = objects.plain(value)
        if simple is not value:
            return self.pack(simple, depth)
        if not self._is_evaluators(kind):
            raise objects.Unsendable(
                f"an object of {kind.__module__}.{kind.__qualname__}"
            )
        return [
            "X",
            self._keep(value),
            kind.__module__,
            kind.__qualname__,
            *(
                [name, self.pack(item, depth + 1)]
                for name, item in _fields(value).items()
            ),
        ]

    def _keep(self, value: Any) -> int:
        self._kept[id(value)] = value
        return id(value)

    def _is_evaluators(self, kind: type) -> bool:
        """A class of the task's own files; library objects have insides that no copy has."""
        return kind.__module__ in self._shared or kind.__module__ in (
            "__main__",
            "evaluator",
            "evaluate",
            "evaluation_module",
        )

    def unpack_other(self, tag: str, body: list[Any], depth: int) -> Any:
        """An object of our own that comes back, one that both know, or a handle on theirs."""
        if tag == "x" and len(body) == 1 and body[0] in self._kept:
            return self._kept[body[0]]
        if tag == "e" and len(body) == 3 and body[0] in self._shared:
            return self._member(*body)
        if tag == "o" and len(body) >= 2 and body[0] in self._shared:
            return self._record(body, depth)
        if tag == "h" and len(body) == 4 and type(body[0]) is int:
            if body[1] is True:
                return RemoteFunction(self, body[0], str(body[3]), str(body[2]))
            self._check_home(str(body[3]), str(body[2]))
            return RemoteObject(self, body[0], str(body[2]))
        return super().unpack_other(tag, body, depth)

    def _check_home(self, module: str, name: str) -> None:
        """A handle does for the program's own objects; of a library's, the real one is expected."""
        if module not in self.imported and module.partition(".")[0] not in _HANDLED:
            raise self.notes.inseparable(
                f"the program returns an object of {module}.{name}"
            )

    def _class(self, module: str, name: Any) -> Any:
        found: Any = importlib.import_module(module)
        for part in str(name).split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type) or found.__module__ != module:
            raise objects.Malformed(f"a class that is none: {name!r:.100}")
        return found

    def _member(self, module: str, name: Any, member: Any) -> Any:
        kind = self._class(module, name)
        if not issubclass(kind, enum.Enum) or member not in kind.__members__:
            raise objects.Malformed("a member that is none")
        return kind.__members__[member]

    def _record(self, body: list[Any], depth: int) -> Any:
        """A fresh object with these fields; none of its code runs, and none is replaced."""
        kind = self._class(body[0], body[1])
        if issubclass(kind, enum.Enum):
            raise objects.Malformed("a member that is made up")
        fields = {
            str(name): value
            for name, value in (self._pair(pair, depth) for pair in body[2:])
        }
        names = getattr(kind, "_fields", None)
        if issubclass(kind, tuple):
            if names is None or set(names) != set(fields):
                raise objects.Malformed("a tuple with other fields")
            return tuple.__new__(kind, [fields[name] for name in names])
        value = object.__new__(kind)
        for name, item in fields.items():
            if not _is_computed(kind, name):
                object.__setattr__(value, name, item)
        return value


def _is_computed(kind: type, name: str) -> bool:
    """True for a value that its class computes again; raises for what would replace its code."""
    there = getattr(kind, name, None)
    if isinstance(there, functools.cached_property):
        return True
    code = hasattr(there, "__get__") and not isinstance(
        there, types.MemberDescriptorType
    )
    if name.startswith("__") or code or callable(there):
        raise objects.Malformed(f"an object with another {name:.100}")
    return False


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if dataclasses.is_dataclass(value):
        return {
            field.name: getattr(value, field.name)
            for field in dataclasses.fields(value)
        }
    return dict(vars(value))


def _exception(name: str, text: str) -> Exception:
    """The candidate's exception as one of the same name; never one that means something to us."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:  # UnicodeDecodeError wants more than a text
            return RuntimeError(f"{name}: {text}")
    made_up = type(
        name if name.isidentifier() else "CandidateException", (Exception,), {}
    )
    error: Exception = made_up(text)
    return error

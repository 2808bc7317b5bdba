"""The scorer's end of a candidate's module in a sandbox.

An evaluator that was written for a candidate in its own process gets a stub with remote
calls as attributes. Typed data cross as copies (`evolve.sandbox.inside.objects`): a
returned array is a copy, numbers are finite, and a returned object of the evaluator is
that very object. A fault of the candidate's process (it dies, hangs, or sends a
forbidden answer) is recorded once and decides the verdict, even if the evaluator
catches it. Arguments that the program changes in place: see `arguments`.
"""

import builtins
import dataclasses
import enum
import fcntl
import functools
import importlib
import json
import sys
import tempfile
import threading
import types
import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evolve.candidate import CandidateError
from evolve.peers.answers import Answers
from evolve.peers.arguments import Arguments
from evolve.peers.clocks import Clocks
from evolve.peers.files import Contents
from evolve.peers.ledger import Ledger
from evolve.peers.meter import Meter
from evolve.peers.proxies import (
    RemoteFunction,
    RemoteIterator,
    RemoteObject,
    handle_of,
    number_of,
    traits_of,
)
from evolve.peers.surroundings import Surroundings
from evolve.sandbox.inside import (
    failures,
    mutable,
    objects,
    operators,
    signatures,
    wire,
)

ORDINARY = "exception"  # raised by a candidate's function; evaluators may catch it


_UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    ImportError,
)
_KEYS = (int, str, float, bytes)
# functions that the program may call if the evaluator gives it one; no attributes of them
_CALLABLE = (
    *(type, types.FunctionType, types.MethodType),
    *(types.BuiltinFunctionType, functools.partial),
)
_OWN = ("__main__", "evaluator", "evaluate", "evaluation_module")
_PURE = ("math", "cmath", "_operator")  # modules of functions that only calculate
_PURE_BUILTINS = frozenset(
    (
        *("abs", "all", "any", "bin", "chr", "divmod", "hash", "hex", "len", "max"),
        *("min", "oct", "ord", "pow", "repr", "round", "sorted", "sum"),
    )
)
_ASYNCHRONOUS = frozenset(("await", "aiter", "anext", "aenter"))
_HANDLED = ("builtins", "collections", "itertools", "functools", "types")
# a view is sent with its base unless that is more times larger, and has more bytes
_MOST_OF_BASE, _SMALL_BASE = 4, 4096
# requests that run code and may change any object
_CHANGES = ("call", "import", "next", "set", "delete")


class Inseparable(RuntimeError):
    """The evaluator needs the candidate in its own process."""


class CandidateGone(RuntimeError):
    """The candidate's process broke a rule; its evaluation has failed."""


def same(one: Any, other: Any) -> bool:
    """Return whether two answers about an object are equal.

    Args:
        one: plain data, arrays and handles
        other: the same

    Returns:
        True for equal values, and for handles on the same object.
    """
    if isinstance(one, RemoteObject) and isinstance(other, RemoteObject):
        return number_of(one) == number_of(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if hasattr(one, "tobytes"):  # an array: also NaN equals itself
        return (one.shape, one.dtype, one.tobytes()) == (
            other.shape,
            other.dtype,
            other.tobytes(),
        )
    return bool(one == other) or one is other


class Notes:
    """Messages to the engine that an evaluator can't suppress; shared by forks.

    Args:
        folder: scratch folder of the evaluation
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fault(self, reason: str, message: str, log: str) -> None:
        """Record a fault of the candidate's process; the first one counts.

        Args:
            reason: reason of the failure, as stored
            message: details
            log: output of the candidate
        """
        self._write("fault", {"reason": reason, "message": message, "log": log})

    def raised(self, message: str, log: str) -> None:
        """Record an exception of a candidate's function.

        It counts as the candidate's fault if the evaluator does not catch it.

        Args:
            message: type and text of the exception
            log: its traceback
        """
        self._write(
            ORDINARY, {"reason": ORDINARY, "message": message[:1000], "log": log[:4000]}
        )

    def not_passed_back(self, change: str) -> None:
        """Record that a change of an argument has stayed in the sandbox.

        Args:
            change: as `Arguments.change_of` names it
        """
        self._write("unasked", {"message": change})

    def drawn_apart(self) -> None:
        """Record that the evaluator drew random numbers after the program did."""
        self._write("apart", {"message": True})

    def read_by_a_tool(self, tool: str) -> None:
        """Record that a command of the evaluator ran after the program's first answer.

        Args:
            tool: its name
        """
        self._write("tool", {"message": tool})

    def inseparable(self, message: str) -> Inseparable:
        """Record that the evaluator can't be separated from the candidate.

        Args:
            message: the cause

        Returns:
            The exception to raise.
        """
        self._write("inseparable", {"message": message})
        return Inseparable(message)

    def read(self, name: str) -> Any:
        """Return a note.

        Args:
            name: "fault", "inseparable" or `ORDINARY`

        Returns:
            The first note of this name; None if there is none.
        """
        path = self._folder / f"note-{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def _write(self, name: str, value: Any) -> None:
        path = self._folder / f"note-{name}.json"
        if not path.exists():
            path.write_text(json.dumps(value))


class Link(objects.Codec):
    """Connection to the candidate's process: one request at a time, over all forks.

    Args:
        candidate: runs functions in the sandbox
        notes: messages to the engine
        folder: scratch folder of the evaluation
        shared: modules that evaluator and program share
        descriptor: file descriptor of the connection
        changes: changes of arguments that come back; None: all, as the seed's do
        task: the task's folder
    """

    only_finite = True

    def __init__(
        self,
        candidate: Any,
        notes: Notes,
        folder: Path,
        shared: tuple[str, ...],
        descriptor: int,
        changes: tuple[str, ...] | None = (),
        task: str = "",
    ) -> None:
        self.candidate, self.notes, self.descriptor = candidate, notes, descriptor
        self._lock_path, self._shared = folder / "lock", frozenset(shared)
        self._lock, self._depth = threading.RLock(), 0
        self.imported: set[str] = set()  # module names of the candidate's file
        # the evaluator's objects that the candidate may name
        self._kept: dict[int, Any] = {}
        # answers about objects: since the last call, and before
        self._looked: dict[tuple[Hashable, ...], Any] = {}
        self._earlier: dict[tuple[Hashable, ...], Any] = {}
        self._owners: dict[int, int] = {}  # function -> the object that has it
        self.answers = Answers(folder)
        self.arguments = Arguments(changes, folder)
        self._label = ""  # the argument that is being encoded
        self._calling: list[str] = []  # paths of the functions at work
        self._changing = 0  # number of the argument with the change that is decoded
        self.ledger = Ledger(folder)
        self.clocks = Clocks(self.ledger)
        self._meter = Meter(candidate, self.clocks, self.ledger)
        self._task = Path(task or "/")  # without a task, nothing is a library
        self.surroundings = Surroundings(task, notes.drawn_apart)
        self._of_answer = ""  # name of the answer that is decoded
        self._handles: weakref.WeakValueDictionary[int, RemoteObject] = (
            weakref.WeakValueDictionary()
        )
        self._error_kinds: dict[int, type] = {}  # the program's classes of exceptions

    @property
    def _is_measured(self) -> bool:
        """Whether the evaluator reads a clock."""
        return bool(self.ledger["counts"])

    def begin(self) -> None:
        """Send the names of the modules that both sides know to the candidate's process."""
        self.candidate.call("begin", sorted(self._shared), self._is_measured)

    def run(
        self, argv: list[str], stdin: bytes, timeout_s: float | None, folder: str = ""
    ) -> tuple[int, bytes, bytes]:
        """Run a command in the candidate's folder.

        Args:
            argv: the command
            stdin: its input
            timeout_s: limit in seconds; None for that of the candidate
            folder: where it runs, below that of the candidate

        Returns:
            Exit code, stdout and stderr.

        Raises:
            CandidateGone: the candidate's process has failed
        """
        with self._turn():
            done: tuple[int, bytes, bytes] = self._guarded(
                self._run, argv, stdin, timeout_s, folder
            )
            self.answers.note(done[1])
            self.answers.note(done[2])
        return done

    def _run(
        self, argv: list[str], stdin: bytes, timeout_s: float | None, folder: str
    ) -> tuple[int, bytes, bytes]:
        if self._is_measured:
            return self._meter.run(argv, stdin, timeout_s, folder)
        done = self.candidate.run(argv, stdin, timeout_s, folder)
        return done.exit, done.stdout, done.stderr

    def run_tool(
        self,
        argv: list[str],
        stdin: bytes,
        timeout_s: float | None,
        folder: str,
        given: Contents,
    ) -> tuple[tuple[int, bytes, bytes], dict[str, Any]]:
        """Run a command of the evaluator in a separate box.

        Args:
            argv: the command
            stdin: its input
            timeout_s: limit in seconds; None for that of the task
            folder: where it runs, below that of the box
            given: files of the box

        Returns:
            Exit code, stdout and stderr; and the files of the box afterwards.

        Raises:
            CandidateGone: it printed too much, took too long, or no box isolates
        """
        header = {"op": "tool", "argv": argv, "timeout_s": timeout_s, "folder": folder}
        files = {path: list(content) for path, content in given.items()}
        payload = wire.encode((files, stdin))
        with self._turn():
            if self.answers.have_begun():
                self.notes.read_by_a_tool(argv[0])
            try:
                reply, answer = self.candidate.request(header, payload)
            except CandidateError as error:
                self.notes.fault(error.reason, error.message, error.log)
                raise CandidateGone(error.message) from None
            if self._is_measured:
                self.clocks.advance(round(float(reply["seconds"]) * 1e9), 0)
            out, err, found = self.candidate.decoded(answer)
            # it may have printed texts of the candidate
            for text in (out, err):
                self.answers.note(text)
        return (int(reply["exit"]), out, err), found

    def collect(self, folder: str, digests: dict[str, str]) -> Any:
        """Return the files of a folder of the candidate that have other content.

        Args:
            folder: below that of the candidate
            digests: path -> hash of the content that is known

        Returns:
            Path -> [content, executable]: a claim.

        Raises:
            CandidateGone: the candidate's process has failed
        """
        with self._turn():
            found = self._call("collect", folder, digests)
        if not isinstance(found, dict):
            raise self._refused("files that are none")
        for path, content in found.items():
            self.answers.note(str(path))
            if isinstance(content, list) and content and isinstance(content[0], bytes):
                self.answers.note(content[0])
        return found

    def put(self, path: str, data: bytes, executable: bool) -> None:
        """Write a file in the candidate's folder; `path` is relative to the folder."""
        with self._turn():
            self._call("put", path, data, executable)

    def get(self, path: str, limit: int) -> tuple[bool, bytes] | None:
        """Read a file in the candidate's folder.

        Args:
            path: relative to the folder
            limit: greatest size in bytes

        Returns:
            Whether it is an executable, and its content; None if it does not exist.

        Raises:
            CandidateGone: the candidate's process has failed
        """
        with self._turn():
            found = self._call("get", path, limit)
        if isinstance(found, list) and len(found) == 2 and isinstance(found[1], bytes):
            if not found[0]:
                self.answers.note(found[1])
            return bool(found[0]), found[1]
        return None

    def note_text(self, text: str | bytes) -> None:
        """Remember a text that the candidate sent (see `Answers.note`)."""
        self.answers.note(text)

    def look(self, what: str, number: int, *arguments: Hashable) -> Any:
        """Ask about an object; the answer may change only by a call that uses the object.

        Otherwise a candidate could show one value to a check and another one to the
        score.

        Args:
            what: kind of question
            number: of the object
            arguments: of the question

        Returns:
            The answer.

        Raises:
            CandidateGone: the candidate's process has failed
            Inseparable: the answer differs from the one before a call of something else
        """
        key = (what, number, *((type(argument), argument) for argument in arguments))
        if self.arguments.are_outdated():
            self._forget_all()
        if key not in self._looked:
            found = self.ask(what, number, *arguments)
            if key in self._earlier and not same(found, self._earlier[key]):
                raise self.notes.inseparable(
                    "an object of the program changed between two looks of the evaluator, "
                    "and no call in between used it"
                )
            self._looked[key] = found
            if isinstance(found, RemoteFunction):
                self._owners[number_of(found)] = number
        return self._looked[key]

    def change(self, what: str, number: int, *arguments: Any) -> Any:
        """Change an object of the program as the evaluator does, or ask for the next item.

        Args:
            what: kind of change
            number: of the object
            arguments: of the change

        Returns:
            The answer.

        Raises:
            CandidateGone: the candidate's process has failed
            Inseparable: the value can't be sent
        """
        found = self.ask(what, number, *arguments)
        if what != "next":
            self._forget_all()
        return found

    def _forget_all(self) -> None:
        """Forget all answers about objects, as the evaluator has changed some."""
        self._looked.clear()
        self._earlier.clear()

    def _used_by(self, arguments: object) -> set[int]:
        """Return the numbers of the objects that a call may change."""
        if isinstance(arguments, RemoteObject):
            number = number_of(arguments)
            return {number, self._owners.get(number, number)}
        if isinstance(arguments, dict):
            return self._used_by([*arguments, *arguments.values()])
        if isinstance(arguments, (list, tuple, set)):
            return set[int]().union(*map(self._used_by, arguments))
        return set()

    def use(self, number: int, this: str, other: str) -> bool:
        """Record how an object is used.

        Args:
            number: of the object
            this: this use
            other: a use that could disagree with it

        Returns:
            False if it was used in the other way since the last call.
        """
        self._looked[this, number] = True
        return (other, number) not in self._looked

    def ask(self, what: str, *arguments: Any) -> Any:
        """Send one request. An exception of the candidate is raised here, too.

        Args:
            what: kind of request
            arguments: of the request

        Returns:
            The answer.

        Raises:
            Inseparable: an argument can't be sent
            CandidateGone: the candidate's process has failed, or its answer is refused
        """
        name = arguments[1] if what == "attribute" else what
        self._of_answer = f"{name} of the program"
        return self._asked(what, arguments, lambda: self._question(what, arguments))

    def _question(self, what: str, arguments: tuple[Any, ...]) -> Any:
        """Encode a question; a value that the program may keep is an argument, too."""
        self._label = f"a value of {arguments[1]}" if what == "set" else ""
        try:
            return self.pack([what, *arguments])
        finally:
            self._label = ""

    def call(
        self, number: int, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a function of the program.

        Args:
            number: of the function
            path: how the evaluator came by it, such as "Solver().step"
            args: its arguments
            kwargs: its arguments by name

        Returns:
            Its result.

        Raises:
            Inseparable: an argument, or its change, can't be sent
            CandidateGone: the candidate's process has failed, or its answer is refused
        """

        def question() -> Any:
            places = [
                self._argument(value, f"argument {place} of {path}")
                for place, value in enumerate(args, 1)
            ]
            names = [
                [name, self._argument(value, f"argument {name} of {path}")]
                for name, value in kwargs.items()
            ]
            return ["l", "call", number, ["l", *places], ["d", *names]]

        with self._turn():
            self._calling.append(path)
            self._of_answer = f"the result of {path}"
            try:
                return self._asked("call", (number, args, kwargs), question)
            finally:
                self._calling.pop()

    def _argument(self, value: Any, label: str) -> Any:
        """Encode an argument; mutable values in it get numbers."""
        self._label = label
        try:
            return self.pack(value, 1)
        finally:
            self._label = ""

    def _outdated(self) -> list[Any]:
        """Encode values that the evaluator has changed since the program got them."""
        return [
            ["M", number, self._content_of(value, label)]
            for number, value, label in self.arguments.outdated()
        ]

    def _content_of(self, value: Any, label: str) -> Any:
        self._label = label  # new values in it get numbers, too
        try:
            if mutable.is_mutable(value):
                return self.pack_content(value, 1)
            return self._pack_fields(value, 1)
        finally:
            self._label = ""

    def _asked(
        self, what: str, arguments: tuple[Any, ...], encode: Callable[[], Any]
    ) -> Any:
        with self._turn():
            if what in _CHANGES:
                self._forget_what_changes(what, arguments)
            label = self._of_answer
            reply = self._exchange(what, self._with_news(encode, what))
            self._of_answer = label  # callbacks have other answers
            if reply[0] == "ok" and len(reply) == 2:
                found = self._read(reply[1])
                if what == "call" and isinstance(found, RemoteObject):
                    self._check_kind(found, label)
                if what == "call" and _is_looked_at(found):
                    self._materialize(number_of(found))
                return found
            error = None
            if reply[0] == "raised" and len(reply) == 5:
                error = self._read(reply[4])
        if isinstance(error, Exception):
            self.notes.raised(f"{reply[1]}: {reply[2]}", str(reply[3]))
            self._check_file(error)
            raise error
        raise self._refused(str(reply[1]) if len(reply) == 2 else "an invalid answer")

    def _with_news(self, encode: Callable[[], Any], what: str) -> Any:
        """Encode a question, with the changes of this side since the last one."""
        try:
            question, outdated = encode(), self._outdated()
            around = self.surroundings.news() if what in _CHANGES else {}
            news = outdated or around
            return ["I", outdated, self.pack(around), question] if news else question
        except wire.Unsendable as error:
            raise self.notes.inseparable(f"the candidate is given {error}") from None

    def _check_file(self, error: Exception) -> None:
        """Refuse to go on if the program looks for a file of the evaluator."""
        if not isinstance(error, FileNotFoundError) or not isinstance(
            error.filename, str
        ):
            return
        path = Path(error.filename).absolute()
        places = (Path(tempfile.gettempdir()), Path.cwd())
        is_place = path.exists() or (
            Path(error.filename).is_absolute() and path.parent.exists()
        )
        if is_place and any(map(path.is_relative_to, places)):
            raise self.notes.inseparable(
                f"the program opens {error.filename}, a file of the evaluator"
            )

    def _forget_what_changes(self, what: str, arguments: tuple[Any, ...]) -> None:
        """Keep earlier answers about those objects only that a request does not use."""
        used = self._used_by(arguments)
        if what == "call":
            used |= {arguments[0], self._owners.get(arguments[0], arguments[0])}
        self._earlier |= self._looked
        self._earlier = {
            key: answer for key, answer in self._earlier.items() if key[1] not in used
        }
        self._looked.clear()

    def _exchange(self, what: str, question: Any) -> Any:
        """Send a question and answer those of the candidate, until it replies."""
        if self._is_measured and what in _CHANGES:
            reply = self._guarded(self._meter.work, question, what == "call")
        else:
            reply = self._call("ask", question)
        while self._kind(reply) == "back" and len(reply) == 2:
            answer = self._answer(reply[1])
            if self._is_measured:
                reply = self._guarded(self._meter.go_on, "resume", answer)
            else:
                reply = self._call("resume", answer)
        return reply

    def _materialize(self, number: int) -> None:
        """Fetch the items of a returned object, so that its work belongs to the call."""
        key = ("shape", number)
        if key not in self._looked:
            reply = self._call("ask", self.pack(["shape", number]))
            if self._kind(reply) == "ok" and len(reply) == 2:
                self._looked[key] = self._read(reply[1])
                if self._is_measured:
                    self._fetch_values(number, self._looked[key])

    def _fetch_values(self, number: int, shape: Any) -> None:
        """Fetch the values of a mapping, too: a lazy one would do its work untimed."""
        match shape:
            case ("mapping", list(keys)) if all(type(key) in _KEYS for key in keys):
                values = self._read_values(number)
                for key, value in zip(keys, values, strict=False):
                    self._looked["item", number, (type(key), key)] = value

    def _read_values(self, number: int) -> list[Any]:
        reply = self._call("ask", self.pack(["values", number]))
        if self._kind(reply) != "ok" or len(reply) != 2:
            return []  # a later look shows why
        values = self._read(reply[1])
        return values if isinstance(values, list) else []

    def _kind(self, reply: Any) -> str:
        if not isinstance(reply, list) or not reply or not isinstance(reply[0], str):
            raise self._refused("an invalid answer")
        return reply[0]

    def _call(self, function: str, *arguments: Any) -> Any:
        call = self._meter.look if self._is_measured else self.candidate.call
        return self._guarded(call, function, *arguments)

    def _guarded(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        """Send a request; record a fault of the candidate's process."""
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
        """Exclude other threads and processes; reentrant, for callbacks."""
        with self._lock:
            self._depth += 1
            try:
                with self.clocks:
                    if self._depth > 1:
                        yield
                    else:
                        with self._lock_path.open("a") as file:
                            fcntl.flock(file, fcntl.LOCK_EX)
                            yield
            finally:
                self._depth -= 1

    def _answer(self, tree: Any) -> list[Any]:
        """Answer the candidate's request about an object of the evaluator."""
        self._of_answer = "an argument of a callback"
        question = self._read(tree)
        try:
            what, number, *rest = question
            target = self._kept[number]
            self.arguments.settle()
            with self.clocks.running():
                value = self._answered(what, target, rest)
        except (CandidateGone, Inseparable):
            raise
        except Exception as error:  # noqa: BLE001 - of the evaluator's own code: the candidate's affair
            raised = error
            return ["raised", self._with_news(lambda: self._pack_error(raised), "call")]
        return ["ok", self._with_news(lambda: self._pack_result(value), "call")]

    def _pack_result(self, value: Any) -> Any:
        """Encode the result of a callback, which the program may change and keep."""
        return self._argument(value, "the result of a callback")

    def _pack_error(self, error: Exception) -> Any:
        """Encode an exception of the evaluator; it comes back as the same one."""
        args: list[Any] = []
        for arg in failures.arguments_of(error):
            try:
                args.append(self.pack(arg, 1))
            except wire.Unsendable:
                args.append(str(arg))
        fields = {
            name: item
            for name, item in failures.fields_of(error, str(error)).items()
            if isinstance(item, (bool, int, float, str, bytes, type(None)))
        }
        trees = [[name, self.pack(item)] for name, item in fields.items()]
        return ["B", self._keep(error), self.pack(type(error)), args, trees]

    def _pack_error_kind(self, kind: type) -> Any:
        for number, known in self._error_kinds.items():
            if known is kind:
                return ["h", number]
        bases = [base for base in kind.__bases__ if issubclass(base, BaseException)]
        return ["U", kind.__module__, kind.__qualname__, *map(self.pack, bases)]

    def _answered(self, what: Any, target: Any, rest: list[Any]) -> Any:
        if what == "attribute":
            return self._allowed(target, *rest)
        if what == "signature":
            return signatures.told(target)
        if what == "operator":
            name, args = rest
            if name not in self._traits_of(type(target)):
                raise AttributeError(str(name)[:100])
            return getattr(type(target), f"__{name}__")(target, *args)
        return target(*rest[0], **rest[1])

    def _traits_of(self, kind: type) -> list[str]:
        """Return what objects of a class of the evaluator do by operators, or iterators."""
        if operators.is_iterator(kind):
            return ["iter", "next"]
        if not self._is_evaluators(kind):
            return []
        found = operators.of(kind) + ["call"] * hasattr(kind, "__call__")  # noqa: B004
        return found + ["dataclass"] * dataclasses.is_dataclass(kind)

    @staticmethod
    def _allowed(target: Any, name: Any) -> Any:
        """Return a public attribute of a plain object.

        Others could lead into the evaluator's internals.

        Raises:
            AttributeError: the name is private, or the object is a class or a function
        """
        if (
            isinstance(target, _CALLABLE)
            or operators.is_iterator(type(target))
            or not isinstance(name, str)
            or name.startswith("_")
        ):
            raise AttributeError(str(name)[:100])
        return getattr(target, name)

    def pack_other(self, value: Any, depth: int) -> Any:
        """Encode an object of the evaluator.

        Args:
            value: the object
            depth: nesting depth

        Returns:
            A copy with a number; for something callable, only a number.

        Raises:
            Unsendable: an object of a library
        """
        if isinstance(value, RemoteObject):
            return ["h", number_of(value)]
        kind = type(value)
        tree = self._pack_behaviour(value, kind, depth)
        if tree is not None:
            return tree
        simple = objects.plain(value)
        if simple is not value:
            if self._is_evaluators(kind):
                base = type(simple).__name__
                raise wire.Unsendable(f"{kind.__qualname__}, a subclass of {base}")
            return self.pack(simple, depth)
        if not self._is_evaluators(kind):
            if kind.__module__ == "numpy" and hasattr(value, "dtype"):
                raise wire.Unsendable(f"an array of type {value.dtype}")
            raise wire.Unsendable(f"an object of {kind.__module__}.{kind.__qualname__}")
        if self._label:
            return self._numbered(value, depth, self._pack_fields)
        return self._pack_fields(value, depth)

    def _pack_behaviour(self, value: Any, kind: type, depth: int) -> Any:
        """Encode an exception, a member of an enumeration, or something callable.

        Returns:
            The tree; None for other values.
        """
        if isinstance(value, Exception):
            return self._pack_error(value)
        if isinstance(value, type) and issubclass(value, BaseException):
            return self._pack_error_kind(value)
        if isinstance(value, enum.Enum) and kind.__module__ in self._shared:
            return ["e", kind.__module__, kind.__qualname__, value.name]
        if _is_function(value):
            name = str(getattr(value, "__name__", kind.__name__))
            return ["k", self._keep(value), name]
        if operators.is_iterator(kind):
            traits = self._traits_of(kind)
            return ["X", self._keep(value), kind.__module__, kind.__qualname__, traits]
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return self._pack_tuple(value, kind, depth)
        return None

    def _pack_tuple(self, value: Any, kind: Any, depth: int) -> Any:
        """Encode a named tuple."""
        if kind.__module__ not in self._shared and objects.is_named_tuple(kind):
            return self.pack_named(value, depth)
        if self._is_evaluators(kind):
            return self._pack_fields(value, depth)
        return self.pack(tuple(value), depth)

    def _pack_fields(self, value: Any, depth: int) -> Any:
        kind = type(value)
        return [
            "X",
            self._keep(value),
            kind.__module__,
            kind.__qualname__,
            self._traits_of(kind),
            *(
                [name, self.pack(item, depth + 1)]
                for name, item in _fields(value).items()
            ),
        ]

    def pack_shared(self, value: Any, depth: int) -> Any:
        """Encode a mutable argument with its number.

        Args:
            value: anything but a plain value
            depth: nesting depth

        Returns:
            The tree; None for other values.
        """
        if not self._label:
            return None
        if mutable.is_array(value):
            return self._numbered(value, depth, self._pack_array)
        if mutable.is_mutable(value):
            return self._numbered(value, depth, self.pack_content)
        return None

    def _numbered(self, value: Any, depth: int, pack: Callable[[Any, int], Any]) -> Any:
        number, is_sent = self.arguments.hold(value, self._label)
        return ["m", number] if is_sent else ["M", number, pack(value, depth)]

    def _pack_array(self, value: Any, depth: int) -> Any:
        """Encode an array; a view together with the owner of its memory."""
        owner = owner_of(value)
        if owner is value:
            return self.pack_content(value, depth)
        place = value.ctypes.data - owner.ctypes.data
        shape, strides = list(value.shape), list(value.strides)
        tree = self.pack(owner, depth + 1)
        return ["v", tree, value.dtype.str, place, shape, strides]

    def _keep(self, value: Any) -> int:
        self._kept[id(value)] = value
        return id(value)

    def _is_evaluators(self, kind: type) -> bool:
        """Return whether a class belongs to the task's files.

        Objects of libraries have internals that a copy lacks.
        """
        return kind.__module__ in self._shared or kind.__module__ in _OWN

    def unpack_other(self, tag: str, body: list[Any], depth: int) -> Any:
        """Decode an object that the data format does not cover.

        Args:
            tag: kind of object
            body: its encoding
            depth: nesting depth

        Returns:
            An object of the evaluator, one of a shared class, or a handle.

        Raises:
            Inseparable: an object of a library
            Malformed: an invalid encoding
        """
        if tag == "x" and len(body) == 1 and body[0] in self._kept:
            return self._kept[body[0]]
        if tag == "m" and len(body) == 1:
            if body[0] not in self.arguments:
                raise wire.Malformed("a value that holds itself")
            return self.arguments.value(body[0])
        if tag == "N" and len(body) == 2 and type(body[0]) is int:
            return self._adopted(body[0], body[1], depth)
        if tag == "C" and len(body) >= 3:
            self.surroundings.take(body[3:], self.note_text)
            return self._with_changes(*body[:3])
        if tag in ("B", "U"):
            return self._failure(tag, body, depth)
        if tag == "e" and len(body) == 3 and body[0] in self._shared:
            return self._member(*body)
        if tag == "o" and len(body) >= 2 and body[0] in self._shared:
            return self._record(body, depth)
        if tag == "h" and len(body) == 6 and type(body[0]) is int:
            return self._handle(body)
        return super().unpack_other(tag, body, depth)

    def _check_kind(self, found: RemoteObject, label: str) -> None:
        """Refuse what only works in one process: the order of its work could be another."""
        if not traits_of(found).isdisjoint(_ASYNCHRONOUS):
            raise self.notes.inseparable(
                f"{label} is asynchronous: its work needs the evaluator's loop"
            )

    def _handle(self, body: list[Any]) -> RemoteObject:
        """Return the handle on an object, always the same one."""
        number, is_callable, name, module, traits, home = body
        if number in self._handles:
            return self._handles[number]
        if is_callable is not True:
            self._check_home(str(module), str(name))
        found = traits if isinstance(traits, list) else []
        base = RemoteFunction if is_callable is True else RemoteObject
        made = handle_of(
            base, self, number, (str(name), str(home)), frozenset(map(str, found))
        )
        self._handles[number] = made
        return made

    def _failure(self, tag: str, body: list[Any], depth: int) -> Any:
        if tag == "B" and len(body) == 4:
            return self._error(body, depth)
        if tag == "U" and len(body) >= 3 and type(body[0]) is int:
            return self._error_kind(body, depth)
        raise wire.Malformed("an exception that is none")

    def _error(self, body: list[Any], depth: int) -> BaseException:
        """Return a copy of an exception of the program."""
        kind, args, fields, cause = body
        found = self.unpack(kind, depth + 1)
        if not (isinstance(found, type) and issubclass(found, BaseException)):
            raise wire.Malformed("an exception without its class")
        if not isinstance(args, list) or not isinstance(fields, list):
            raise wire.Malformed("an exception without arguments")
        error = failures.made(
            found,
            tuple(self.unpack(arg, depth + 1) for arg in args),
            {str(name): item for name, item in (self._pair(p, depth) for p in fields)},
        )
        if error is None:
            raise wire.Malformed(f"an invalid {found.__name__}")
        if cause is not None:
            of = self.unpack(cause, depth + 1)
            error.__cause__ = of if isinstance(of, Exception) else None
        return error

    def _error_kind(self, body: list[Any], depth: int) -> type:
        """Return the class of an exception: that of a library, or one like the program's."""
        number, name, module = body[0], str(body[1]), str(body[2])
        if number not in self._error_kinds:
            there = self._of_library(module, name)
            bases = [self.unpack(base, depth + 1) for base in body[3:]]
            if not bases or not all(map(_is_error_kind, bases)):
                raise wire.Malformed("an exception without its base")
            try:
                made = there or failures.new_class(name, module, tuple(bases))
            except TypeError as error:
                raise wire.Malformed(str(error)) from None
            self._error_kinds[number] = made
        return self._error_kinds[number]

    def _of_library(self, module: str, name: str) -> Any:
        """Return a class of exceptions of a library, or of a shared module.

        One of the engine, or of the evaluator alone, would have a meaning to it.
        """
        if module in self.imported or module.partition(".")[0] in ("evolve", *_OWN):
            return None
        there = sys.modules.get(module)
        file = getattr(there, "__file__", None) or ""
        if Path(file).is_relative_to(self._task) and module not in self._shared:
            return None
        found = getattr(there, name, None)
        return found if _is_error_kind(found) else None

    def _with_changes(self, tree: Any, changes: Any, kept: Any) -> Any:
        """Take over the changes of arguments, then decode the answer."""
        if not isinstance(changes, list) or not isinstance(kept, list):
            raise wire.Malformed("changes that are none")
        for number, new in changes:
            if number in self.arguments:
                self._changing = number
                self._change(number, new)
        self._changing = 0
        found = self.unpack(tree)
        self.arguments.keep(kept)
        self.arguments.settle()
        return found

    def _adopted(self, number: int, tree: Any, depth: int) -> Any:
        """Return a value that the program has put into an argument."""
        if number >= 0 or number in self.arguments:  # not a new number of its process
            raise wire.Malformed("a new value with a number that is taken")
        value = self.unpack(tree, depth)
        self.arguments.adopt(number, value, self._changing, self._of_answer)
        return value

    def _change(self, number: int, tree: Any) -> None:
        """Change an argument as the program did, if the seed does so, too."""
        change = self.arguments.change_of(
            number, self._calling[-1] if self._calling else ""
        )
        value = self.arguments.value(number)
        if not self.arguments.comes_back(change):
            self.notes.not_passed_back(change)
            if tree is not None and tree[0] != "F":
                self.arguments.replace(number, self.unpack(tree))
            return
        if tree is None or not self._refilled(value, tree):
            raise self.notes.inseparable(f"{change} in a way that can't be sent")
        self.arguments.has_changed(number)

    def _refilled(self, value: Any, tree: Any) -> bool:
        if isinstance(tree, list) and tree[:1] == ["F"]:
            return self._with_fields(value, tree[1:])
        return mutable.refill(value, self.unpack(tree))

    def _with_fields(self, value: Any, fields: list[Any]) -> bool:
        """Give an object of the evaluator other data, never other code."""
        if not self._is_evaluators(type(value)) and not hasattr(value, "__dict__"):
            return False
        new = {str(name): item for name, item in (self._pair(p, 0) for p in fields)}
        for name in set(vars(value)) - set(new):
            delattr(value, name)
        for name, item in new.items():
            if not _is_computed(type(value), name):
                object.__setattr__(value, name, item)
        return True

    def _check_home(self, module: str, name: str) -> None:
        """Refuse a handle on a library's object: the real object is expected."""
        if module not in self.imported and module.partition(".")[0] not in _HANDLED:
            raise self.notes.inseparable(
                f"the program returns an object of {module}.{name}"
            )

    def _class(self, module: str, name: Any) -> Any:
        found: Any = importlib.import_module(module)
        for part in str(name).split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type) or found.__module__ != module:
            raise wire.Malformed(f"not a class: {name!r:.100}")
        return found

    def _member(self, module: str, name: Any, member: Any) -> Any:
        kind = self._class(module, name)
        if not issubclass(kind, enum.Enum) or member not in kind.__members__:
            raise wire.Malformed("not a member of an enumeration")
        return kind.__members__[member]

    def _record(self, body: list[Any], depth: int) -> Any:
        """Create an object with these fields; none of its code runs or is replaced."""
        kind = self._class(body[0], body[1])
        if issubclass(kind, enum.Enum):
            raise wire.Malformed("a new member of an enumeration")
        fields = {
            str(name): value
            for name, value in (self._pair(pair, depth) for pair in body[2:])
        }
        names = getattr(kind, "_fields", None)
        if issubclass(kind, tuple):
            if names is None or set(names) != set(fields):
                raise wire.Malformed("a tuple with other fields")
            return tuple.__new__(kind, [fields[name] for name in names])
        value = object.__new__(kind)
        for name, item in fields.items():
            if not _is_computed(kind, name):
                object.__setattr__(value, name, item)
        return value


def owner_of(array: Any) -> Any:
    """Return the owner of an array's memory, if it can be sent instead.

    Args:
        array: a numpy array

    Returns:
        Its base; the array itself if it has none, or one that is much larger.
    """
    owner = array
    while type(owner.base) is type(array):
        owner = owner.base
    fits = owner.nbytes <= _MOST_OF_BASE * array.nbytes + _SMALL_BASE
    return owner if fits and owner.flags.c_contiguous else array


def _is_computed(kind: type, name: str) -> bool:
    """Return whether the class computes a value; raise if it would replace code."""
    there = getattr(kind, name, None)
    if isinstance(there, functools.cached_property):
        return True
    code = hasattr(there, "__get__") and not isinstance(
        there, types.MemberDescriptorType
    )
    if name.startswith("__") or code or callable(there):
        raise wire.Malformed(f"an object with another {name:.100}")
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


def _is_function(value: Any) -> bool:
    """Return whether the program may call a value of the evaluator."""
    if isinstance(value, functools.partial):
        return _is_function(value.func)
    if isinstance(value, types.BuiltinFunctionType):
        owner = getattr(value.__self__, "__name__", None)
        return owner in _PURE or (
            value.__self__ is builtins and value.__name__ in _PURE_BUILTINS
        )
    if type(value).__module__ == "numpy" and type(value).__name__ == "ufunc":
        return True
    return isinstance(value, (types.FunctionType, types.MethodType, type))


def _is_looked_at(found: Any) -> bool:
    return isinstance(found, RemoteObject) and not isinstance(
        found, (RemoteFunction, RemoteIterator)
    )


def _is_error_kind(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)

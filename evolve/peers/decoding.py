"""Decoding that makes more than data of an answer: refused in the evaluator's process.

`imports` sees what is executed as text. Here is what runs without being such a text: a pickle or a YAML
document that names a function, a table's query that calls one, marshalled code, a library that was made
of an answer. All of it may still hold plain data.
"""

from __future__ import annotations

import ast
import os
import sys
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from typing import Any

from evolve.peers.answers import may_name
from evolve.peers.guards import Watch, is_library
from evolve.peers.link import Link

_BETWEEN_PROCESSES = tuple(
    os.path.join(os.path.dirname(os.__file__), name, "")
    for name in ("multiprocessing", "concurrent")
)
_MATHEMATICS = frozenset(
    (
        "abs",
        "arccos",
        "arccosh",
        "arcsin",
        "arcsinh",
        "arctan",
        "arctan2",
        "arctanh",
        "ceil",
        "cos",
        "cosh",
        "exp",
        "expm1",
        "floor",
        "log",
        "log10",
        "log1p",
        "sin",
        "sinh",
        "sqrt",
        "tan",
        "tanh",
    )
)
_OF_A_SCOPE = ("@", "__pd_eval_local_")  # how a query names what is no column


def install(link: Link, watch: Watch, shared: frozenset[str]) -> None:
    """From the candidate's first answer on, decoding gives data only."""
    guards = Guards(link, watch, shared)
    sys.addaudithook(guards.hook)
    real_exec, real_code = SourceFileLoader.exec_module, SourcelessFileLoader.get_code

    def get_code(loader: SourcelessFileLoader, fullname: str) -> Any:
        guards.compiled(loader.path)
        return real_code(loader, fullname)

    def exec_module(loader: SourceFileLoader, module: Any) -> None:
        real_exec(loader, module)
        if module.__name__ in guards.modules:
            guards.modules[module.__name__](module)

    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign, assignment]
    SourcelessFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
    for name in guards.modules.keys() & sys.modules.keys():
        guards.modules[name](sys.modules[name])


class Guards:
    """What is asked at each audit event, and what is changed in a module once it is loaded."""

    def __init__(self, link: Link, watch: Watch, shared: frozenset[str]) -> None:
        self._link, self._watch, self._shared = link, watch, shared
        self._events = {
            "pickle.find_class": self._pickle,
            "marshal.loads": self._marshal,
            "marshal.load": self._marshal,
            "ctypes.dlopen": self._library,
            "import": self._extension,
        }
        self.modules = {
            "yaml.constructor": self._yaml,
            "pandas.core.computation.expr": self._queries,
        }

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook sees every unpickler and loader, however it was imported."""
        if event in self._events and self._link.answers.have_begun():
            self._events[event](arguments, sys._getframe(1).f_code.co_filename)

    def _refuse(self, what: str) -> Exception:
        return self._link.notes.inseparable(
            f"the evaluator {what}, and a candidate may have written it"
        )

    def _pickle(self, arguments: tuple[Any, ...], caller: str) -> None:
        """The evaluator's own processes write what they read of each other."""
        module, name = map(str, arguments[:2])
        if not caller.startswith(_BETWEEN_PROCESSES) and not may_name(
            module, name, self._shared
        ):
            raise self._refuse(f"unpickles {module}.{name}")

    def _marshal(self, arguments: tuple[Any, ...], caller: str) -> None:
        """The import system reads all compiled files this way."""
        if not is_library(caller):
            raise self._refuse("reads marshalled code")

    def _library(self, arguments: tuple[Any, ...], caller: str) -> None:
        if isinstance(arguments[0], (str, bytes, os.PathLike)):
            self.compiled(os.fsdecode(arguments[0]))

    def _extension(self, arguments: tuple[Any, ...], caller: str) -> None:
        """Only a compiled module is named with its file; `imports` sees the others."""
        if isinstance(arguments[1], str):
            self.compiled(arguments[1])

    def compiled(self, path: str) -> None:
        """A library, a compiled module or byte code that was made meanwhile may be of an answer."""
        real = os.path.realpath(path)
        if self._link.answers.have_begun() and self._watch.is_made(real):
            raise self._refuse(f"loads {os.path.basename(real)}")

    def _yaml(self, module: Any) -> None:
        """Names in a document of an unsafe loader, which `yaml.Loader` is, too."""
        for method in ("find_python_name", "find_python_module"):
            setattr(
                module.UnsafeConstructor,
                method,
                self._named(getattr(module.UnsafeConstructor, method)),
            )

    def _named(self, real: Any) -> Any:
        def find(constructor: Any, name: str, mark: Any) -> Any:
            module, _, last = name.rpartition(".")
            plain = may_name(module or "builtins", last, self._shared)
            if self._link.answers.have_begun() and not plain:
                raise self._refuse(f"reads YAML that names {name}")
            return real(constructor, name, mark)

        return find

    def _queries(self, module: Any) -> None:
        real = module.Expr.parse

        def parse(expression: Any) -> Any:
            text = expression.expr
            if (
                self._link.answers.have_begun()
                and isinstance(text, str)
                and text not in self._watch.own_texts
                and _calls(text)
            ):
                raise self._refuse("asks a table with a query that calls functions")
            return real(expression)

        module.Expr.parse = parse


def _calls(query: str) -> bool:
    """True for a query that calls more than mathematics, or that uses a variable from around it."""
    if any(sign in query for sign in _OF_A_SCOPE):
        return True
    if "`" in query:  # a name that Python can't read
        return "(" in query
    try:
        return any(
            isinstance(node, ast.Call) and ast.unparse(node.func) not in _MATHEMATICS
            for node in ast.walk(ast.parse(query.strip()))
        )
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return "(" in query

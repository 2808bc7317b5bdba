"""Guards against decoding an answer into code in the evaluator's process.

`guards` sees code that is executed as text. This module covers other ways: a pickle or
YAML document that names a function, a table query that calls one, marshalled code, and
a library made from an answer. All of these may still hold plain data.
"""

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
_OF_A_SCOPE = ("@", "__pd_eval_local_")  # how a query names variables


def install(link: Link, watch: Watch, shared: frozenset[str]) -> None:
    """Restrict decoding to plain data after the candidate's first answer.

    Args:
        link: the connection to the candidate
        watch: recognizes the candidate's files
        shared: modules that evaluator and program share
    """
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
    """Checks for audit events, and patches for modules once they are loaded.

    Args:
        link: the connection to the candidate
        watch: recognizes the candidate's files
        shared: modules that evaluator and program share
    """

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
        """Check an audit event; it covers all unpicklers and loaders, however imported.

        Args:
            event: name of the event
            arguments: of the event

        Raises:
            Inseparable: the event is refused
        """
        if event in self._events and self._link.answers.have_begun():
            self._events[event](arguments, sys._getframe(1).f_code.co_filename)

    def _refuse(self, what: str) -> Exception:
        return self._link.notes.inseparable(
            f"the evaluator {what}, and a candidate may have written it"
        )

    def _pickle(self, arguments: tuple[Any, ...], caller: str) -> None:
        """Allow everything between the evaluator's own processes, else plain data."""
        module, name = map(str, arguments[:2])
        if not caller.startswith(_BETWEEN_PROCESSES) and not may_name(
            module, name, self._shared
        ):
            raise self._refuse(f"unpickles {module}.{name}")

    def _marshal(self, arguments: tuple[Any, ...], caller: str) -> None:
        """Allow the import system, which reads compiled files this way."""
        if not is_library(caller):
            raise self._refuse("reads marshalled code")

    def _library(self, arguments: tuple[Any, ...], caller: str) -> None:
        if isinstance(arguments[0], (str, bytes, os.PathLike)):
            self.compiled(os.fsdecode(arguments[0]))

    def _extension(self, arguments: tuple[Any, ...], caller: str) -> None:
        """Check the import of a compiled module, which comes with its file name."""
        if isinstance(arguments[1], str):
            self.compiled(arguments[1])

    def compiled(self, path: str) -> None:
        """Refuse a library, compiled module or byte code made during this evaluation.

        Args:
            path: the file

        Raises:
            Inseparable: the file may come from an answer
        """
        real = os.path.realpath(path)
        if self._link.answers.have_begun() and self._watch.is_made(real):
            raise self._refuse(f"loads {os.path.basename(real)}")

    def _yaml(self, module: Any) -> None:
        """Check names in a document for an unsafe loader, such as `yaml.Loader`."""
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
                raise self._refuse("uses a table query that calls functions")
            return real(expression)

        module.Expr.parse = parse


def _calls(query: str) -> bool:
    """Return whether a query calls more than mathematics, or uses outer variables."""
    if any(sign in query for sign in _OF_A_SCOPE):
        return True
    if "`" in query:  # a name that Python can't parse
        return "(" in query
    try:
        return any(
            isinstance(node, ast.Call) and ast.unparse(node.func) not in _MATHEMATICS
            for node in ast.walk(ast.parse(query.strip()))
        )
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return "(" in query

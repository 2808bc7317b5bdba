"""Objects that stay in the candidate's process, as the evaluator sees them.

All their answers are claims. If such an object looks like a list, the evaluator may
treat it as an array: then its items are read once, and array methods are computed here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evolve.peers.link import Link

_OF_ARRAYS = frozenset(
    (
        "all",
        "any",
        "argmax",
        "argmin",
        "astype",
        "dtype",
        "flatten",
        "max",
        "mean",
        "min",
        "ndim",
        "prod",
        "ravel",
        "shape",
        "size",
        "std",
        "sum",
        "tolist",
        "var",
    )
)


def _handle(remote: RemoteObject) -> tuple[Link, int]:
    """Return the link and the number of a remote object, without asking it."""
    own = object.__getattribute__
    return own(remote, "_link"), own(remote, "_number")


def path_of(remote: RemoteObject) -> str:
    """Return how the evaluator came by an object, without asking it."""
    path: str = object.__getattribute__(remote, "_path")
    return path


def with_path(found: Any, path: str) -> Any:
    """Return an answer; a handle learns how the evaluator came by it, the first time."""
    if isinstance(found, RemoteObject) and not path_of(found):
        object.__setattr__(found, "_path", path)
    return found


class RemoteObject:
    """Handle on an object in the candidate's process, which answers all requests.

    Args:
        link: the connection to the candidate
        number: of the object
        name: of its class

    Attributes:
        _path: how the evaluator came by it, such as "Solver().step"; empty if in a way
            that has no name
    """

    def __init__(self, link: Link, number: int, name: str) -> None:
        object.__setattr__(self, "_link", link)
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "__name__", name)
        object.__setattr__(self, "_path", "")

    def _look(self, what: str, *arguments: Any) -> Any:
        link, number = _handle(self)
        with link.clocks:
            return link.look(what, number, *arguments)

    def _listed(self, kind: str) -> list[Any] | None:
        """Return the items of a claimed list or the keys of a claimed mapping."""
        found = self._look("shape")
        if isinstance(found, tuple) and len(found) == 2 and found[0] == kind:
            return found[1] if isinstance(found[1], list) else None
        return None

    def _use(self, this: str, other: str) -> None:
        """Refuse to mix indexing and iteration: the answers could disagree."""
        link, number = _handle(self)
        if not link.use(number, this, other):
            raise TypeError(f"an object that can't be {this} and {other}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        items = self._listed("list") if name in _OF_ARRAYS else None
        if items is not None:
            return self._of_items(items, name)
        if str(sys._getframe(1).f_globals.get("__name__")).partition(".")[0] == "numpy":
            raise AttributeError(name)  # `numpy.sum(x)` would let x claim its sum
        path = path_of(self)
        return with_path(self._look("attribute", name), path and f"{path}.{name}")

    def _of_items(self, items: list[Any], name: str) -> Any:
        """Return a field of a named tuple, else an attribute of an item array."""
        import numpy

        fields = self._look("fields")
        if isinstance(fields, list) and name in fields and len(fields) == len(items):
            return items[fields.index(name)]
        try:
            return getattr(numpy.array(items), name)
        except ValueError:  # rows of different lengths
            return getattr(numpy.array(items, dtype=object), name)

    def __getitem__(self, key: Any) -> Any:
        items, keys = self._listed("list"), self._listed("mapping")
        if items is not None and isinstance(key, (int, slice)):
            return items[key]
        if keys is not None and key not in keys:
            raise KeyError(key)
        if items is None and keys is None:
            self._use("indexed", "iterated")
        if isinstance(key, (int, str, float, bytes)):
            return self._look("item", key)
        link, number = _handle(self)
        return link.ask("item", number, key)

    def __len__(self) -> int:
        items = self._listed("list")
        items = self._listed("mapping") if items is None else items
        return int(self._look("length")) if items is None else len(items)

    def __iter__(self) -> Iterator[Any]:
        for kind in ("list", "mapping"):
            items = self._listed(kind)
            if items is not None:
                return iter(items)
        self._use("iterated", "indexed")
        return iter(self._look("items"))

    def __dir__(self) -> list[str]:
        return [str(name) for name in self._look("names")]

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return str(self._look("text"))


class RemoteFunction(RemoteObject):
    """Handle on a function or class of the candidate, which runs in its process.

    Args:
        link: the connection to the candidate
        number: of the object
        module: its module
        name: its qualified name
    """

    def __init__(self, link: Link, number: int, module: str, name: str) -> None:
        super().__init__(link, number, name)
        object.__setattr__(self, "__qualname__", name)
        object.__setattr__(self, "__module__", module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function in the candidate's process and return its result."""
        link, number = _handle(self)
        path = path_of(self)
        with link.clocks:
            return with_path(
                link.call(number, path, args, kwargs), path and f"{path}()"
            )


class Stub:
    """Content of the candidate's module: `__getattr__` and `__dir__` of PEP 562.

    Args:
        link: the connection to the candidate
        path: of the program in the sandbox
        name: of the module
    """

    def __init__(self, link: Link, path: str, name: str) -> None:
        self._link = link
        link.imported.add(name)
        self._number: int = link.ask("import", path, name)

    def attribute(self, name: str) -> Any:
        """Return an attribute of the candidate's module; `__` names raise `AttributeError`."""
        if name.startswith("__"):
            raise AttributeError(name)
        with self._link.clocks:
            return with_path(self._link.look("attribute", self._number, name), name)

    def names(self) -> list[str]:
        """Return the names that the candidate's module defines, for `dir()`."""
        return [str(name) for name in self._link.look("names", self._number)]

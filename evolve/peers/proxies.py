"""Objects that stay in the candidate's process, as the evaluator sees them.

All their answers are claims. If such an object looks like a list, the evaluator may
treat it as an array: then its items are read once, and array methods are computed here.
"""

from __future__ import annotations

import functools
import itertools
import sys
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evolve.sandbox.inside import signatures

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


# attributes of Python itself that the program is asked for
_TOLD = frozenset(
    (
        *("__enter__", "__exit__", "__setitem__", "__delitem__", "__doc__"),
        *("__defaults__", "__kwdefaults__", "__annotations__", "__qualname__"),
    )
)
_UNKNOWN = ("__globals__", "__mro__", "__bases__", "__subclasses__")


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
        name: of the object, or of its class

    Attributes:
        _path: how the evaluator came by it, such as "Solver().step"; empty if in a way
            that has no name
    """

    __slots__ = ("__name__", "__weakref__", "_link", "_number", "_path")
    _traits: frozenset[str] = frozenset()  # operators that its class claims to have

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
            raise _refused(self, f"an object that is {this} and {other}")

    def _special(self, name: str, *args: Any) -> Any:
        """Call the method of an operator."""
        return self._look("attribute", name)(*args)

    def __getattr__(self, name: str) -> Any:
        if name == "__signature__":
            return signatures.made(self._look("signature"))
        if name == "__code__" and "function" in self._traits:
            return types.SimpleNamespace(**self._look("code"))
        if name in _UNKNOWN:
            raise _refused(self, f"{name} of")
        if name.startswith("__") and name not in _TOLD:
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
        if "getitem" in self._traits and "iter" not in self._traits:
            return self._by_index()
        for kind in ("list", "mapping"):
            items = self._listed(kind)
            if items is not None:
                return iter(items)
        self._use("iterated", "indexed")
        return iter(self._look("items"))

    def _by_index(self) -> Iterator[Any]:
        for index in itertools.count():
            try:
                item = self[index]
            except IndexError:
                return
            yield item

    def __dir__(self) -> list[str]:
        return [str(name) for name in self._look("names")]

    def __bool__(self) -> bool:
        if "bool" in self._traits:
            return bool(self._look("truth"))
        return "len" not in self._traits or len(self) != 0

    def __repr__(self) -> str:
        return str(self._look("text"))

    def __str__(self) -> str:
        return str(self._look("said" if "str" in self._traits else "text"))

    def __setattr__(self, name: str, value: Any) -> None:
        link, number = _handle(self)
        with link.clocks:
            link.change("set", number, name, value)

    def __delattr__(self, name: str) -> None:
        link, number = _handle(self)
        with link.clocks:
            link.change("delete", number, name)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return self._look("vars")

    def __copy__(self) -> Any:
        raise _refused(self, "a copy of")

    def __deepcopy__(self, memo: Any) -> Any:
        raise _refused(self, "a copy of")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise _refused(self, "a pickle of")


class RemoteFunction(RemoteObject):
    """Handle on a function or class of the candidate, which runs in its process."""

    __slots__ = ()

    def __instancecheck__(self, value: Any) -> bool:
        if isinstance(value, RemoteObject):
            return bool(self._look("is_a", _handle(value)[1]))
        if "class" in self._traits:
            base = self._look("base")
            if base and base == type(value).__name__:
                raise _refused(self, f"a {base} that may be an instance of")
        return False

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __mro_entries__(self, bases: Any) -> Any:
        raise _refused(self, "a class of the evaluator that derives from")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function in the candidate's process and return its result."""
        link, number = _handle(self)
        path = path_of(self)
        with link.clocks:
            return with_path(
                link.call(number, path, args, kwargs), path and f"{path}()"
            )


class RemoteIterator(RemoteObject):
    """Handle on an iterator of the candidate; it makes only the items that are asked for."""

    __slots__ = ("_ended",)

    def __iter__(self) -> Iterator[Any]:
        if _has_ended(self) and "once" not in self._traits:
            raise _refused(self, "a second pass over")  # it could have other items
        return self

    def __next__(self) -> Any:
        if _has_ended(self) and "once" in self._traits:
            raise StopIteration
        link, number = _handle(self)
        with link.clocks:
            match link.change("next", number):
                case (True, value) if not _has_ended(self):
                    return value
                case (True, _):
                    raise _refused(self, "an item after the end of")
                case (_, value):
                    object.__setattr__(self, "_ended", True)
                    raise StopIteration(value)
                case _:
                    raise _refused(self, "an item that is none of")


def _has_ended(iterator: RemoteIterator) -> bool:
    try:
        return bool(object.__getattribute__(iterator, "_ended"))
    except AttributeError:
        return False


def _refused(remote: RemoteObject, what: str) -> Exception:
    """Record that something has no equal in another process."""
    link, _ = _handle(remote)
    name = object.__getattribute__(remote, "__name__")
    return link.notes.inseparable(f"the evaluator uses {what} {name} of the program")


def _refusing(name: str) -> Any:
    def operator(self: RemoteObject, *args: Any) -> Any:
        raise _refused(self, f"the operator __{name}__ of")

    return operator


def _equal(self: RemoteObject, other: Any) -> Any:
    if self is other:
        return True
    if not isinstance(other, RemoteObject):
        return NotImplemented
    raise _refused(self, "the operator __eq__ of")


def _passing(name: str) -> Any:
    def operator(self: RemoteObject, *args: Any) -> Any:
        return self._special(f"__{name}__", *args)

    return operator


def _exit(self: RemoteObject, kind: Any, error: Any, trace: Any) -> Any:
    return self._special("__exit__", kind, error, None)


def _converting(kind: Any, what: str) -> Any:
    return lambda self: kind(self._look(what))


_PASSED: dict[str, Any] = {
    "enter": _passing("enter"),
    "exit": _exit,
    "setitem": _passing("setitem"),
    "delitem": _passing("delitem"),
    "float": _converting(float, "float"),
    "int": _converting(int, "int"),
    "index": _converting(int, "index"),
}
# answered by `RemoteObject` itself
_ASKED = (
    "bool",
    "len",
    "iter",
    "next",
    "getitem",
    "str",
    "once",
    "class",
    "function",
    "dataclass",
)


def _shown(kind: type, handle: RemoteObject) -> type:
    return kind


class _Fields:
    """Fields of a dataclass: to copy one needs its class, which stays in the program."""

    def __init__(self, link: Link, name: str) -> None:
        self._link, self._name = link, name

    def __get__(self, handle: object, kind: object) -> Any:
        raise self._link.notes.inseparable(
            f"the evaluator uses the fields of {self._name} of the program"
        )


_SHOWN: dict[str, type] = {
    "class": type,
    "function": types.FunctionType,
}  # the class of a handle, as it is shown


@functools.cache
def _class_of(
    link: Link, base: type, name: str, module: str, traits: frozenset[str]
) -> Any:
    """Return a class of handles for objects that claim to do the same by operators."""
    methods: dict[str, Any] = {
        f"__{trait}__": _PASSED.get(trait) or _refusing(trait)
        for trait in traits
        if trait.isidentifier() and trait not in _ASKED
    }
    if "eq" in traits:
        methods.setdefault("__hash__", _refusing("hash"))
        if "dataclass" in traits:
            methods["__eq__"] = _equal
    if "dataclass" in traits and base is RemoteObject:
        methods["__dataclass_fields__"] = _Fields(link, name)
    for trait, shown in _SHOWN.items():
        if trait in traits and base is RemoteFunction:
            methods["__class__"] = property(functools.partial(_shown, shown))
    if "next" in traits and base is RemoteObject:
        base = RemoteIterator
    doc = property(lambda self: self._look("attribute", "__doc__"))
    own = {"__slots__": (), "__module__": module, "__doc__": doc, "_traits": traits}
    return type(name.rpartition(".")[2], (base,), own | methods)


def handle_of(
    base: type, link: Link, number: int, names: tuple[str, str], traits: frozenset[str]
) -> RemoteObject:
    """Return a new handle.

    Args:
        base: `RemoteObject` or `RemoteFunction`
        link: the connection to the candidate
        number: of the object
        names: of the object, or of its class, and of the module
        traits: operators that its class claims to have

    Returns:
        The handle, of a class with the name of the object's class.
    """
    name, module = names
    shown = name if base is RemoteObject else base.__name__
    handle: RemoteObject = _class_of(link, base, shown, module, traits)(
        link, number, name
    )
    return handle


def traits_of(remote: RemoteObject) -> frozenset[str]:
    """Return the operators that the class of an object claims to have, without asking it."""
    traits: frozenset[str] = object.__getattribute__(remote, "_traits")
    return traits


def number_of(remote: RemoteObject) -> int:
    """Return the number by which the candidate's process knows an object."""
    return _handle(remote)[1]


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

    def write(self, what: str, name: str, *value: Any) -> None:
        """Give an attribute of the candidate's module another value, or delete it.

        Args:
            what: "set" or "delete"
            name: of the attribute
            value: the value, if it is set
        """
        with self._link.clocks:
            self._link.change(what, self._number, name, *value)

    def names(self) -> list[str]:
        """Return the names that the candidate's module defines, for `dir()`."""
        return [str(name) for name in self._link.look("names", self._number)]


class StubModule(types.ModuleType):
    """The candidate's module in the evaluator's process: assignments are sent."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            super().__setattr__(name, value)
        else:
            self.__write__("set", name, value)

    def __delattr__(self, name: str) -> None:
        self.__write__("delete", name)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        descriptor: Any = vars(types.ModuleType)["__dict__"]
        own = descriptor.__get__(self)
        names = [name for name in own["__dir__"]() if not name.startswith("__")]
        return {**own, **{name: getattr(self, name) for name in names}}

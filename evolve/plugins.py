"""Plugins: built-in or third-party policies and operators by name, and their errors."""

import importlib
import inspect
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from evolve.errors import (
    ConfigError,
    EvolveError,
    RunError,
    did_you_mean,
    validation_message,
)

_T = TypeVar("_T")
_P = TypeVar("_P", bound="Params")


def find_class(
    kind: str, name: str, built_in: Mapping[str, str], base: type[_T]
) -> type[_T]:
    """Import a class by name.

    Args:
        kind: "policy" or "operator", for messages.
        name: A built-in name, or `package.module:Class`.
        built_in: Built-in name -> `package.module:Class`.
        base: Class that it must extend.

    Returns:
        The class, which is not abstract.

    Raises:
        ConfigError: There is no such class, or it can't be imported or used.
    """
    module, _, attribute = built_in.get(name, name).partition(":")
    if not attribute:
        raise ConfigError(f"unknown {kind} {name!r}", did_you_mean(name, built_in))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the {kind} {name}: there is no module {error.name!r}",
            "add its folder to the path: PYTHONPATH=. evolve ...",
        ) from None
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the {kind} {name} can't be imported: {error}") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(
            f"invalid {kind} {name}: it does not extend {base.__name__}",
            f"see {base.__module__}.{base.__qualname__}",
        )
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise ConfigError(
            f"the {kind} {name} does not define {missing}",
            f"see {base.__module__}.{base.__qualname__}",
        )
    return found


class Params(BaseModel):
    """Base of the parameters of a policy or an operator; a subclass declares fields.

    Each field has a default and a description, which the generated reference shows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


_CHOICE = re.compile(
    r"""(?P<name> \w+(?:\.\w+)+:\w+ | \w+:[A-Z_]\w* | [\w.-]+ )  # a class, or built in
        (?: : (?P<given>[a-z]\w*=[^=,]*(?:,[a-z]\w*=[^=,]*)*) )?  # :key=value,key=value
        (?: = (?P<weight>[^=]*) )?""",
    re.VERBOSE,
)


class Chosen(NamedTuple):
    """A plugin as the settings name it: its name, the given parameters, and a weight."""

    name: str
    given: dict[str, str]
    weight: str = ""

    @classmethod
    def parse(cls, text: str) -> "Chosen":
        """Split `NAME`, `NAME:key=value,key=value` or either with `=WEIGHT`.

        Args:
            text: NAME is built in, or a dotted path `package.module:Class`; a class in a
                module at the top (`module:Class`) begins with a capital.

        Returns:
            The parts; a text of another form is the name as a whole, without parameters.
        """
        found = _CHOICE.fullmatch(text)
        if found is None:
            return cls(text, {})
        pairs = (pair.partition("=") for pair in (found["given"] or "").split(","))
        given = {key: value for key, _, value in pairs if key}
        return cls(found["name"], given, found["weight"] or "")

    def params(self, kind: str, declared: type[_P]) -> _P:
        """Return the given parameters, checked against those that a class declares.

        Args:
            kind: "policy" or "operator", for messages.
            declared: the class's `Params`.

        Raises:
            ConfigError: an unknown parameter, or a value that does not fit.
        """
        try:
            return declared.model_validate(self.given)
        except ValidationError as error:
            problem = error.errors()[0]
        key = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden":
            known = declared.model_fields
            hint = did_you_mean(key, known) if known else "it has no parameters"
            raise ConfigError(f"{kind} {self.name}: unknown parameter {key!r}", hint)
        raise ConfigError(
            f"{kind} {self.name}: invalid {key} {self.given[key]!r}"
            if key
            else f"{kind} {self.name}: invalid parameters",
            validation_message(problem),
        )


def parse_weights(texts: Iterable[str]) -> dict[str, float]:
    """Parse operators with weights.

    Args:
        texts: each "NAME" or "NAME=WEIGHT"; NAME may have parameters, `diff:short_bytes=0`.

    Returns:
        Name with its parameters -> weight; 1 where none is given.

    Raises:
        ConfigError: a weight is not a number from 0 up.
    """
    weights = {}
    for text in texts:
        chosen = Chosen.parse(text)
        name = text.removesuffix(f"={chosen.weight}") if chosen.weight else text
        try:
            weights[name] = float(chosen.weight or 1.0)
            if "=" in chosen.name:  # in no form that is known
                weights[name] = -1.0
        except ValueError:
            weights[name] = -1.0
        if not weights[name] >= 0:
            raise ConfigError(
                f"invalid operator {text!r}",
                "use NAME or NAME=0.5, and --operator again for the next",
            )
    return weights


@contextmanager
def plugin_errors(kind: str, plugin: object) -> Iterator[None]:
    """Context manager: convert exceptions of a third-party class to `RunError` with its line.

    Exceptions that passed through the engine's code, or are of the engine, are not converted.

    Args:
        kind: "policy" or "operator", for messages.
        plugin: The object that is called.

    Raises:
        RunError: The plugin raised an exception.
    """
    try:
        yield
    except Exception as error:
        owner = type(plugin)
        # without the frames of this function and its caller
        frames = list(traceback.walk_tb(error.__traceback__))[2:]
        places = [
            (str(frame.f_globals.get("__name__", "")), line) for frame, line in frames
        ]
        if any(
            _is_ours(module)
            for module in (
                owner.__module__,
                type(error).__module__,
                *(module for module, _ in places),
            )
        ):
            raise
        at = [
            f" in line {line}" for module, line in places if module == owner.__module__
        ]
        raise plugin_error(
            kind,
            plugin,
            f"failed{at[-1] if at else ''}: {type(error).__name__}: {error}",
            "fix it, then: evolve resume; --debug shows more",
        ) from error


def plugin_error(kind: str, plugin: object, what: str, hint: str) -> EvolveError:
    """Return an error for an unusable result of a plugin.

    Args:
        kind: "policy" or "operator".
        plugin: The plugin.
        what: The rest of the sentence that begins with its name.
        hint: What its author should do.

    Returns:
        The error, to raise.
    """
    owner = type(plugin)
    return RunError(f"the {kind} {owner.__module__}:{owner.__qualname__} {what}", hint)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "evolve"

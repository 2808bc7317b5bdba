"""Which provider: the one that was named, or the best that isolates and works here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from evolve.sandbox.errors import NoSuchSandbox, PackagesUnavailable, SandboxUnavailable
from evolve.sandbox.provider import Progress, Provider, SandboxSpec

_BUILT_IN = {
    "docker": "evolve.sandbox.docker:DockerProvider",
    "bubblewrap": "evolve.sandbox.bubblewrap:BubblewrapProvider",
    "local": "evolve.sandbox.local:LocalProvider",
}
# never `local`: what isolates nothing must be typed
AUTOMATIC = ("docker", "bubblewrap")


@dataclass(frozen=True)
class Choice:
    """A prepared provider, and why a better one was passed over (empty when none was)."""

    provider: Provider
    passed_over: tuple[str, ...] = ()


def provider_class(name: str) -> type[Provider]:
    """A built-in name or a dotted path `package.module:Class`. Raises `NoSuchSandbox`."""
    module, _, attribute = _BUILT_IN.get(name, name).partition(":")
    if not attribute:
        raise NoSuchSandbox(
            f"there is no sandbox {name!r}",
            f"choose one of: auto, {', '.join(_BUILT_IN)}",
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise NoSuchSandbox(
            f"the sandbox {name} can't be imported: {error}",
            "is its folder on the path? PYTHONPATH=. evolve ...",
        ) from None
    if not (isinstance(found, type) and issubclass(found, Provider)):
        raise NoSuchSandbox(
            f"{name} is no sandbox provider", "see sandbox.provider.Provider"
        )
    return found


async def prepare_provider(name: str, spec: SandboxSpec, progress: Progress) -> Choice:
    """Prepare the named provider; `auto` takes the first that works and says what it passed over.

    Raises `NoSuchSandbox`, and `SandboxUnavailable` when none works.
    """
    if name != "auto":
        provider = provider_class(name)(spec)
        await provider.prepare(progress)
        return Choice(provider)
    passed_over: list[str] = []
    fixes: list[str] = []
    for candidate in AUTOMATIC:
        provider = provider_class(candidate)(spec)
        try:
            await provider.prepare(progress)
        except PackagesUnavailable:
            raise
        except SandboxUnavailable as error:
            passed_over.append(f"{candidate}: {error.message}")
            fixes.append(error.hint)
            continue
        return Choice(provider, tuple(passed_over))
    raise SandboxUnavailable(
        f"no sandbox works here: {'; '.join(passed_over)}", fixes[-1]
    )

"""Which provider: the one that was named, or the best that isolates and works here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from sandbox.errors import PackagesUnavailable, SandboxUnavailable
from sandbox.provider import Progress, Provider, SandboxSpec

_BUILT_IN = {
    "docker": "sandbox.docker:DockerProvider",
    "bubblewrap": "sandbox.bubblewrap:BubblewrapProvider",
    "local": "sandbox.local:LocalProvider",
}
AUTOMATIC = ("docker", "bubblewrap")  # never `local`: what isolates nothing must be typed


@dataclass(frozen=True)
class Choice:
    """A prepared provider, and why a better one was passed over (empty when none was)."""

    provider: Provider
    passed_over: tuple[str, ...] = ()


def provider_class(name: str) -> type[Provider]:
    """A built-in name or a dotted path `package.module:Class`. Raises `SandboxUnavailable`."""
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        built_in: type[Provider] = getattr(importlib.import_module(module), attribute)
        return built_in
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        if attribute:
            raise SandboxUnavailable(f"the sandbox {name} can't be imported: {error}",
                                     "is its folder on the path? PYTHONPATH=. evolve ...") from None
        raise SandboxUnavailable(f"there is no sandbox {name!r}",
                                 f"choose one of: auto, {', '.join(_BUILT_IN)}") from None
    if not (isinstance(found, type) and issubclass(found, Provider)):
        raise SandboxUnavailable(f"{name} is no sandbox provider", "see sandbox.provider.Provider")
    return found


async def prepare_provider(name: str, spec: SandboxSpec, progress: Progress) -> Choice:
    """Prepare the named provider; `auto` takes the first that works and says what it passed over.

    Raises `SandboxUnavailable` when none works.
    """
    if name != "auto":
        provider = provider_class(name)(spec)
        await provider.prepare(progress)
        return Choice(provider)
    passed_over: list[str] = []
    for candidate in AUTOMATIC:
        provider = provider_class(candidate)(spec)
        try:
            await provider.prepare(progress)
        except PackagesUnavailable:
            raise
        except SandboxUnavailable as error:
            passed_over.append(f"{candidate}: {error.message}")
            continue
        return Choice(provider, tuple(passed_over))
    raise SandboxUnavailable("no sandbox works here (" + "; ".join(passed_over) + ")",
                             "start Docker, or: apt-get install bubblewrap")

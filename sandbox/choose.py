"""Choice of a provider: the named one, or the first that isolates and works here."""

import importlib
from dataclasses import dataclass, replace

from evolve.sandbox.errors import (
    NoSuchSandbox,
    PackagesUnavailable,
    ProviderFault,
    SandboxUnavailable,
)
from evolve.sandbox.provider import Progress, Provider, SandboxSpec

_BUILT_IN = {
    "docker": "evolve.sandbox.docker:DockerProvider",
    "bubblewrap": "evolve.sandbox.bubblewrap:BubblewrapProvider",
    "local": "evolve.sandbox.local:LocalProvider",
}
# never `local`: a sandbox that isolates nothing must be typed
AUTOMATIC = ("docker", "bubblewrap")


@dataclass(frozen=True)
class Choice:
    """A prepared provider.

    Attributes:
        passed_over: Why each better provider could not be used; empty if none was
            passed over.
    """

    provider: Provider
    passed_over: tuple[str, ...] = ()


def provider_class(name: str) -> type[Provider]:
    """Return the class of a provider.

    Args:
        name: A built-in name or a dotted path `package.module:Class`.

    Returns:
        The class.

    Raises:
        NoSuchSandbox: The name is unknown, can't be imported, or is not a provider.
    """
    module, _, attribute = _BUILT_IN.get(name, name).partition(":")
    if not attribute:
        raise NoSuchSandbox(
            f"invalid sandbox {name!r}",
            f"use one of: auto, {', '.join(_BUILT_IN)}",
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise NoSuchSandbox(
            f"the sandbox {name} can't be imported: {error}",
            "is its folder on the path? try: PYTHONPATH=. evolve ...",
        ) from None
    if not (isinstance(found, type) and issubclass(found, Provider)):
        raise NoSuchSandbox(
            f"{name} is not a sandbox provider",
            "derive it from evolve.sandbox.provider.Provider",
        )
    missing = sorted(found.__abstractmethods__)
    missing += [name for name in ("name", "isolates") if not hasattr(found, name)]
    if missing:
        raise NoSuchSandbox(
            f"the sandbox {name} does not define {', '.join(missing)}",
            "see evolve.sandbox.provider.Provider",
        )
    return found


def make_provider(name: str, spec: SandboxSpec) -> Provider:
    """Make a provider by name.

    Args:
        name: As for `provider_class`, or `docker:RUNTIME` for an OCI runtime that the
            Docker engine knows, such as runsc, kata or crun.
        spec: The requirements of the task.

    Returns:
        The provider, not prepared yet.

    Raises:
        NoSuchSandbox: The name is unknown, can't be imported, or is not a provider.
    """
    kind, _, runtime = name.partition(":")
    if kind == "docker" and runtime:
        return provider_class(kind)(replace(spec, runtime=runtime))
    return provider_class(name)(spec)


async def prepare_provider(name: str, spec: SandboxSpec, progress: Progress) -> Choice:
    """Prepare a provider.

    Args:
        name: A built-in name, a dotted path, or "auto" for the first of `AUTOMATIC`
            that works.
        spec: The requirements of the task.
        progress: Called with a line per step.

    Returns:
        The prepared provider, and why others were passed over.

    Raises:
        NoSuchSandbox: There is no such provider.
        PackagesUnavailable: The task's packages or tools can't be installed.
        SandboxUnavailable: The named provider, or every automatic one, does not work
            here.
    """
    if name != "auto":
        provider = make_provider(name, spec)
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
        except (SandboxUnavailable, ProviderFault) as error:
            await provider.close()
            passed_over.append(f"{candidate}: {error.message}")
            fixes.append(error.hint)
            continue
        return Choice(provider, tuple(passed_over))
    raise SandboxUnavailable(
        f"no sandbox works here: {'; '.join(passed_over)}", fixes[-1]
    )

"""`evolve doctor --security`: what is enforced on this machine, and how to close each gap."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from evolve.checking.findings import Finding
from evolve.config import load_keys
from evolve.errors import EvolveError
from evolve.evaluation import landlock
from evolve.evaluation.confinement import Confinement, how
from evolve.runs.folder import list_runs, open_run
from evolve.sandbox import SandboxError
from evolve.sandbox.bwrap import find_bwrap
from evolve.sandbox.docker import connect
from evolve.sandbox.namespaces import try_namespaces
from evolve.sandbox.scope import find_groups
from evolve.sandbox.seccomp import build_filter

_KEYS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")


def examine_security(
    runs_dir: Path, environment: Mapping[str, str] | None = None
) -> list[Finding]:
    """Check what this machine enforces between strangers' code and the user.

    Args:
        runs_dir: folder of runs, for those of somebody else
        environment: variables of the user; None for those of this process

    Returns:
        One finding for each line of the trust table, with the fix for each gap.
    """
    if environment is None:
        environment = dict(os.environ)
        load_keys()
    checks: list[Callable[[], Finding]] = [
        _docker,
        _namespaces,
        _system_calls,
        _memory,
        _scorer,
        _landlock,
        lambda: _keys(environment),
        lambda: _foreign_runs(runs_dir),
        lambda: _user(environment),
    ]
    return [check() for check in checks]


def _docker() -> Finding:
    """Check the Docker engine: rootless or with user namespaces is better."""
    try:
        client = connect()
    except SandboxError as error:
        return Finding("warn", f"Docker: {error.message}", error.hint)
    try:
        options = [str(text) for text in client.info().get("SecurityOptions") or ()]
    finally:
        client.close()
    words = " ".join(options)
    if "rootless" in words:
        return Finding("ok", "Docker: rootless, so its root is you, not the machine's")
    if "userns" in words:
        return Finding("ok", "Docker: user namespaces remap the root of containers")
    return Finding(
        "ok",
        "Docker: containers are hardened; their root is the machine's root, without "
        "rights",
        'stronger: rootless Docker, "userns-remap" in /etc/docker/daemon.json, or '
        "--sandbox docker:runsc",
    )


def _namespaces() -> Finding:
    """Check user namespaces, which bubblewrap needs."""
    try:
        try_namespaces(find_bwrap())
    except SandboxError as error:
        return Finding("fail", f"namespaces: {error.message}", error.hint)
    return Finding("ok", "namespaces: bubblewrap separates users, processes and mounts")


def _system_calls() -> Finding:
    """Check that there is a filter of system calls for this processor."""
    try:
        size = len(build_filter()) // 8
    except SandboxError as error:
        return Finding("fail", f"system calls: {error.message}", error.hint)
    text = f"system calls: a list of allowed ones, in both sandboxes ({size} steps)"
    return Finding("ok", text)


def _memory() -> Finding:
    """Check that total memory has a limit of the kernel in bubblewrap."""
    root = find_groups()
    if root is None:
        return Finding(
            "warn",
            "memory: no control group can be made, so bubblewrap only watches it",
            "a login with systemd for this user (loginctl enable-linger), or --sandbox docker",
        )
    text = f"memory: limited by control groups of version {root.version}"
    return Finding("ok", text)


def _scorer() -> Finding:
    """Check what confines scorers."""
    found = how()
    if found is Confinement.NONE:
        return Finding(
            "fail",
            "scorers: a task's evaluate.py runs as you, with your files and network",
            "make bubblewrap work (see namespaces), or use Linux 5.13 with Landlock",
        )
    return Finding("ok", f"scorers: confined by {found}")


def _landlock() -> Finding:
    """Report the kernel's version of Landlock."""
    version = landlock.version()
    if version:
        return Finding("ok", f"Landlock: version {version}")
    return Finding(
        "warn",
        "Landlock: this kernel has none, so scorers depend on bubblewrap",
        "Linux 5.13 or newer, with landlock among lsm= on the kernel's command line",
    )


def _keys(environment: Mapping[str, str]) -> Finding:
    """Look for keys in the environment, which each program of the user can read."""
    names = sorted(
        name for name, value in environment.items() if name.endswith(_KEYS) and value
    )
    if not names:
        return Finding("ok", "keys: none in the environment")
    return Finding(
        "warn",
        f"keys in the environment of every program that you start: {', '.join(names)}",
        "put them into .env, mode 0600, in the folder where you run evolve; no candidate, "
        "scorer or agent gets them in either case",
    )


def _foreign_runs(runs_dir: Path) -> Finding:
    """Look for runs that this user has not signed."""
    foreign = []
    for path in list_runs(runs_dir):
        try:
            run = open_run(runs_dir, str(path))
        except EvolveError as error:
            foreign.append(f"{path.name} ({error.message})")
            continue
        if not run.is_own:
            foreign.append(run.name)
    if not foreign:
        return Finding("ok", f"runs: all in {runs_dir} are yours")
    return Finding(
        "warn",
        f"runs of somebody else, or of an earlier version: {', '.join(foreign)}",
        "they can be read; to resume one that you trust: evolve trust RUN_DIR",
    )


def _user(environment: Mapping[str, str]) -> Finding:
    """Check that the engine does not run as root."""
    if os.geteuid() or environment.get("SUDO_USER"):
        return Finding("ok", "user: not root")
    return Finding(
        "warn",
        "user: evolve runs as root, which sandboxes drop and scorers keep without rights",
        "use an ordinary user",
    )

"""A systemd scope for one bubblewrap box, where this process can't make control groups.

The processes of a login session may not move to other control groups, but the user's
own systemd can start a command in one, with limits (`systemd-run --user --scope`).
"""

import itertools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from evolve.sandbox.cgroup import (
    PREFIX,
    Cgroup,
    CgroupRoot,
    find_root,
    mount_points,
)
from evolve.sandbox.owner import this_process

_TRIAL_S = 10.0
_TRIAL_MEMORY_BYTES = 1 << 30
_TRIAL_PROCESSES = 100
# Prints the path of its control group and the two limits that hold there.
_TRIAL = (
    "path=$(sed -n s/^0:://p /proc/self/cgroup) && echo $path && "
    'cat "$1$path/memory.max" "$1$path/pids.max"'
)
_numbers = itertools.count()


@dataclass(frozen=True)
class ScopeRoot:
    """The slice in which the user's systemd makes scopes.

    Attributes:
        folder: Its directory in the control group file system, version 2.
        run: Command that asks systemd: program and options.
    """

    folder: Path
    run: tuple[str, ...]
    version: int = 2

    def make(self, memory_bytes: int, processes: int) -> Cgroup:
        """Name a scope; systemd makes it when the box starts, and removes it at its end.

        Args:
            memory_bytes: Limit on total memory, without swap.
            processes: Limit on processes and threads.

        Returns:
            The group that the box's command will start in.
        """
        unit = f"{PREFIX}{this_process()}-{next(_numbers)}.scope"
        command = _starting(self.run, unit, memory_bytes, processes)
        return Cgroup((), self.folder / unit, self.version, command)

    def remove_abandoned(self) -> None:
        """Do nothing: systemd removes a scope when its last process has ended."""


def find_groups() -> CgroupRoot | ScopeRoot | None:
    """Return the way to limit a box's memory and processes by the kernel.

    Returns:
        Control groups, else scopes of the user's systemd; None if there is neither.
    """
    return find_root() or find_scopes()


def find_scopes(root: Path = Path("/")) -> ScopeRoot | None:
    """Return where the user's systemd makes scopes, if a trial scope has its limits.

    Args:
        root: Directory that holds `proc`; other than "/" only in tests.

    Returns:
        The slice; None without systemd, or where it does not limit memory.
    """
    program, mount = shutil.which("systemd-run"), mount_points(root).get("")
    if program is None or mount is None:
        return None
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
    run = ("/usr/bin/env", f"XDG_RUNTIME_DIR={runtime}", program, "--user")
    unit = f"{PREFIX}{this_process()}-trial.scope"
    limits = (_TRIAL_MEMORY_BYTES, _TRIAL_PROCESSES)
    try:
        trial = subprocess.run(
            [*_starting(run, unit, *limits), "sh", "-c", _TRIAL, "sh", str(mount)],
            capture_output=True,
            text=True,
            timeout=_TRIAL_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    path, *found = trial.stdout.split()
    if found != [str(limit) for limit in limits]:
        return None
    return ScopeRoot((mount / path.lstrip("/")).parent, run)


def _starting(
    run: tuple[str, ...], unit: str, memory_bytes: int, processes: int
) -> tuple[str, ...]:
    """Return the beginning of a command that starts in a scope.

    A delegated scope outlives the kernel's kill of one of its processes (OOMPolicy).
    """
    return (
        *run,
        "--scope",
        "--quiet",
        "--collect",
        f"--unit={unit}",
        "--property=Delegate=yes",
        f"--property=MemoryMax={memory_bytes}",
        "--property=MemorySwapMax=0",
        f"--property=TasksMax={processes}",
        "--",
    )

"""The system call filter for bubblewrap: it refuses calls that candidates never need.

Docker brings such a filter. It matters most for resources that namespaces don't
separate (keys that processes share, limits of other processes) and for parts of the
kernel with a record of holes.
"""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass

from evolve.sandbox.errors import SandboxUnavailable

_INSTRUCTION = struct.Struct("HBBI")  # struct sock_filter
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _NO_SUCH_CALL, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*: cgroup, uts, ipc, user, pid, net, mount
_X32 = 0x40000000

# name: numbers on x86_64 and aarch64
_REFUSED = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "semget": (64, 190),
    "setns": (308, 268),
    "shmget": (29, 194),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}


@dataclass(frozen=True)
class _Machine:
    audit: int
    column: int
    clone: int
    clone3: int
    prlimit: int


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 0, 56, 435, 302),
    "aarch64": _Machine(0xC00000B7, 1, 220, 435, 261),
}


def build_filter(allowed: frozenset[str] = frozenset()) -> bytes:
    """Return the filter in the form of bubblewrap's `--seccomp`.

    Args:
        allowed: Names of calls that are not refused.

    Returns:
        A program of `struct sock_filter`.

    Raises:
        SandboxUnavailable: The call numbers of this machine are not known.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise SandboxUnavailable(
            f"there is no system call filter for {platform.machine()}",
            "start Docker and use --sandbox docker",
        )
    program = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, machine.audit, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, 0, 1),
        _step(_RETURN, _REFUSE),
    ]
    for name, numbers in _REFUSED.items():
        if name not in allowed:
            program += [
                _step(_EQUAL, numbers[machine.column], 0, 1),
                _step(_RETURN, _REFUSE),
            ]
    # the filter can't see clone3's flags; libraries fall back from it to clone
    program += [
        _step(_EQUAL, machine.clone3, 0, 1),
        _step(_RETURN, _NO_SUCH_CALL),
        _step(_EQUAL, machine.clone, 0, 4),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _step(_RETURN, _REFUSE),
        _step(_RETURN, _ALLOW),
    ]
    if "prlimit" not in allowed:  # pid 0, the caller, only; never the fork server
        program += [
            _step(_EQUAL, machine.prlimit, 0, 3),
            _step(_LOAD, _FIRST_ARGUMENT),
            _step(_EQUAL, 0, 1, 0),
            _step(_RETURN, _REFUSE),
        ]
    return b"".join([*program, _step(_RETURN, _ALLOW)])


def _step(
    code: int, value: int, jump_if_true: int = 0, jump_if_false: int = 0
) -> bytes:
    return _INSTRUCTION.pack(code, jump_if_true, jump_if_false, value)

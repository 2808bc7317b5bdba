"""The system calls that candidates may make: one list, for bubblewrap and for Docker.

`syscalls.txt` lists the calls; what is not listed is refused. The filter matters most for
resources that namespaces don't separate (keys that processes share, limits and priorities of
other processes), for kernel memory that nothing limits (socket buffers), and for parts of the
kernel with a record of holes (address families such as AF_VSOCK).
"""

import functools
import json
import platform
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from evolve.sandbox.errors import SandboxUnavailable

_LIST = Path(__file__).with_name("syscalls.txt")
_INSTRUCTION = struct.Struct("HBBI")  # struct sock_filter
_LOAD, _EQUAL, _AT_LEAST, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
_NO_SUCH_CALL, _PRETEND = 0x00050026, 0x00050000  # ENOSYS; success without effect
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*: cgroup, uts, ipc, user, pid, net, mount
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_NETLINK, _ROUTE = 16, 0  # a family with many parts, of which libraries need one
_SOCKET_LEVEL, _BUFFER_SIZES = 1, (7, 8, 32, 33)  # SO_SNDBUF, SO_RCVBUF, and *FORCE
# System V objects and nameless files: Docker's limits count them, and its server removes
# them.
DOCKER_ALLOWS = frozenset({"memfd_create", "msgget", "semget", "shmget"})
# Calls on a process -> the arguments that name the caller itself. The first process of a
# candidate's namespaces has the same user, and must not become slow.
_OF_THE_CALLER: Mapping[str, Mapping[int, int]] = {
    "ioprio_set": {0: 1, 1: 0},  # IOPRIO_WHO_PROCESS
    "prlimit64": {0: 0},
    "sched_setaffinity": {0: 0},
    "sched_setattr": {0: 0},
    "sched_setparam": {0: 0},
    "sched_setscheduler": {0: 0},
    "setpriority": {0: 0, 1: 0},  # PRIO_PROCESS
}
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000


class _Call(NamedTuple):
    name: str
    number: int | None
    allowed: bool


@functools.cache
def _calls(machine: str) -> tuple[_Call, ...]:
    """Return the listed calls, with their numbers on this machine."""
    column = 1 if machine == "x86_64" else 2
    found = []
    for line in _LIST.read_text().splitlines():
        if not line.startswith("#"):
            fields = line.split()
            number = None if fields[column] == "-" else int(fields[column])
            found.append(_Call(fields[0], number, fields[3] == "allowed"))
    return tuple(found)


@dataclass(frozen=True)
class _Rule:
    """Instructions for one call, which end with a decision."""

    number: int
    steps: tuple[bytes, ...]


def build_filter(
    allowed: frozenset[str] = frozenset(), large_buffers: bool = True
) -> bytes:
    """Return the filter for a candidate of bubblewrap.

    Args:
        allowed: Names of calls that are allowed in addition, without conditions; for
            tests.
        large_buffers: Whether a candidate may enlarge socket buffers, which only a
            control group counts; otherwise such a call succeeds without effect.

    Returns:
        A program of `struct sock_filter`.

    Raises:
        SandboxUnavailable: The call numbers of this machine are not known.
    """
    program = _beginning()
    calls = _calls(platform.machine())
    numbers = {call.name: call.number for call in calls if call.number is not None}
    for rule in _rules(numbers, allowed, large_buffers):
        program += [_step(_EQUAL, rule.number, 0, len(rule.steps)), *rule.steps]
    free = {
        call.number
        for call in calls
        if call.number is not None and (call.allowed or call.name in allowed)
    }
    for first, last in _ranges(free):
        program += [
            _step(_AT_LEAST, first, 0, 2),
            _step(_ABOVE, last, 1, 0),
            _step(_RETURN, _ALLOW),
        ]
    return b"".join([*program, _step(_RETURN, _REFUSE)])


def refuse_only(*names: str) -> bytes:
    """Return a filter that refuses some calls and allows all others.

    Args:
        names: Names of calls.

    Returns:
        A program of `struct sock_filter`.

    Raises:
        SandboxUnavailable: The call numbers of this machine are not known.
    """
    program = _beginning()
    for call in _calls(platform.machine()):
        if call.name in names and call.number is not None:
            program += [_step(_EQUAL, call.number, 0, 1), _step(_RETURN, _REFUSE)]
    return b"".join([*program, _step(_RETURN, _ALLOW)])


def _beginning() -> list[bytes]:
    """Return the first steps: kill calls of other machines, load the call's number."""
    machine = platform.machine()
    if machine not in _AUDIT:
        raise SandboxUnavailable(
            f"there is no system call filter for {machine}",
            "start Docker and use --sandbox docker",
        )
    return [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, _AUDIT[machine], 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, 0, 1),
        _step(_RETURN, _REFUSE),
    ]


def _rules(
    numbers: dict[str, int], allowed: frozenset[str], large_buffers: bool
) -> Iterable[_Rule]:
    """Yield the calls whose arguments decide."""
    # the filter can't see clone3's flags; libraries fall back from it to clone
    yield _Rule(_CLONE3, (_step(_RETURN, _NO_SUCH_CALL),))
    yield _Rule(
        numbers["clone"],
        (
            _load(0),
            _step(_ANY_BIT, _NEW_NAMESPACES, 0, 1),
            _step(_RETURN, _REFUSE),
            _step(_RETURN, _ALLOW),
        ),
    )
    for name, needed in _OF_THE_CALLER.items():
        if name not in allowed:
            steps = [
                step
                for argument, value in needed.items()
                for step in (
                    _load(argument),
                    _step(_EQUAL, value, 1, 0),
                    _step(_RETURN, _REFUSE),
                )
            ]
            yield _Rule(numbers[name], (*steps, _step(_RETURN, _ALLOW)))
    for name in ("socket", "socketpair"):
        yield _Rule(numbers[name], _socket_steps())
    if not large_buffers:
        level = (_load(1), _step(_EQUAL, _SOCKET_LEVEL, 1, 0), _step(_RETURN, _ALLOW))
        sizes = [
            step
            for size in _BUFFER_SIZES
            for step in (_step(_EQUAL, size, 0, 1), _step(_RETURN, _PRETEND))
        ]
        end = _step(_RETURN, _ALLOW)
        yield _Rule(numbers["setsockopt"], (*level, _load(2), *sizes, end))


def _socket_steps() -> tuple[bytes, ...]:
    """Return the steps for a new socket: three families, and netlink's routes."""
    families = [
        step
        for family in _FAMILIES
        for step in (_step(_EQUAL, family, 0, 1), _step(_RETURN, _ALLOW))
    ]
    route = (
        _step(_EQUAL, _NETLINK, 1, 0),
        _step(_RETURN, _REFUSE),
        _load(2),
        _step(_EQUAL, _ROUTE, 1, 0),
    )
    return (_load(0), *families, *route, *_REFUSE_OR_ALLOW)


def docker_profile() -> str:
    """Return the same list as a profile for `--security-opt seccomp=`.

    A container's candidates have other user ids than its server, so calls on other
    processes need no condition.

    Returns:
        JSON, as Docker reads it.
    """
    conditional = {"clone", "socket", "socketpair"}
    names = [
        call.name
        for call in _calls("x86_64")
        if (call.allowed or call.name in DOCKER_ALLOWS) and call.name not in conditional
    ]
    rules: list[dict[str, Any]] = [
        {"names": names, "action": "SCMP_ACT_ALLOW"},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        _docker_rule(["clone"], _compare(0, 0, "SCMP_CMP_MASKED_EQ", _NEW_NAMESPACES)),
    ]
    sockets = ["socket", "socketpair"]
    rules += [_docker_rule(sockets, _compare(0, family)) for family in _FAMILIES]
    rules.append(_docker_rule(sockets, _compare(0, _NETLINK), _compare(2, _ROUTE)))
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "archMap": [
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
            ],
            "syscalls": rules,
        }
    )


def _docker_rule(names: list[str], *arguments: dict[str, Any]) -> dict[str, Any]:
    return {"names": names, "action": "SCMP_ACT_ALLOW", "args": list(arguments)}


def _compare(
    index: int, value: int, how: str = "SCMP_CMP_EQ", mask: int | None = None
) -> dict[str, Any]:
    """Return a condition on an argument; with a mask, its masked bits equal the value."""
    if mask is None:
        return {"index": index, "value": value, "valueTwo": 0, "op": how}
    return {"index": index, "value": mask, "valueTwo": value, "op": how}


def _ranges(numbers: set[int]) -> Iterable[tuple[int, int]]:
    """Yield the runs of consecutive numbers, in order."""
    first = last = None
    for number in sorted(numbers):
        if last is not None and first is not None and number > last + 1:
            yield first, last
            first = number
        first = number if first is None else first
        last = number
    if first is not None and last is not None:
        yield first, last


def _load(argument: int) -> bytes:
    """Return the instruction that loads the low half of an argument."""
    return _step(_LOAD, _ARGUMENTS + 8 * argument)


def _step(
    code: int, value: int, jump_if_true: int = 0, jump_if_false: int = 0
) -> bytes:
    return _INSTRUCTION.pack(code, jump_if_true, jump_if_false, value)


_CLONE3 = 435  # on both machines
_REFUSE_OR_ALLOW = (_step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW))

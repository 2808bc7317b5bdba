"""Each defence is there for a reason: without it, the attack it stops succeeds."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from evolve.sandbox import Provider, ProviderFault
from evolve.sandbox.contract import Outcome
from tests.security.attacks import ATTACKS
from tests.security.attacks.secrets import SECRET, take_back
from tests.security.probe import Traces
from tests.security.test_attacks import SPEC, live
from tests.security.weaker import WeakerBubblewrap, WeakerDocker, patched_server

TRIES = 100  # until luck has it


@dataclass(frozen=True)
class Off:
    """A defence that is off: by an option of the sandbox or by changed lines of the server."""

    attack: str
    options: dict[str, Any] = field(default_factory=dict)
    changes: tuple[tuple[str, str], ...] = ()


BIG = "size=512m,nr_inodes=100000,mode=1777,exec"
OWN_USER = (
    "    if uid:\n        os.setgroups([])\n",
    "    if False:\n        os.setgroups([])\n",
)
NO_NEW_PRIVILEGES = ("_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)", "pass")
KILLS_ALL = ("return kill_all(account) and wipe()", "return wipe()")
WIPES = ("and wipe() and", "and")
LOOKS_FOR_IPC = (" and no_ipc()", "")
NOT_INHERITED = ("    memory.madvise(mmap.MADV_DONTFORK)\n", "")
NO_QUEUES = ("resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))", "pass")
LIMITS_OUTPUT = ("running.log_bytes > output_bytes", "False")
LIMITS_PROCESSES = (
    "        resource.setrlimit(resource.RLIMIT_NPROC",
    "        (lambda *a: None)(0",
)
WATCHES = (
    "    watch_s = WATCH_EVERY_S if watched else None\n",
    "    watch_s = None\n",
)
LARGE_SCRATCH = (
    'scratch = f"size={size_bytes},nr_inodes={files},mode=1777".encode()',
    'scratch = b"size=512m,nr_inodes=100000,mode=1777"',
)
OWN_SCRATCH = ('for place in (b"/tmp", b"/dev/shm"):', 'for place in (b"/tmp",):')
OWN_PROCESSES = ("flags = _CLONE_NEWPID | _CLONE_NEWNS", "flags = _CLONE_NEWNS")
OWN_IPC = ("_CLONE_NEWNS | _CLONE_NEWIPC | signal", "_CLONE_NEWNS | signal")
GUARD_KILLS = (
    "                os.kill(-1, signal.SIGKILL)\n            os.wait()\n",
    "                raise ChildProcessError\n",
)
PROVES_END = (
    "return not traces.others(running.account, running.waiting)",
    "return True",
)
DROPS = ("        _drop_capabilities()\n", "")
OWN_PROC = (
    '_libc.mount(b"proc", b"/proc", b"proc", _NOSUID_NODEV | _NOEXEC, None)',
    "0",
)
DOCKER = {
    "own user id": Off("changes_its_user", changes=(OWN_USER,)),
    "no new privileges": Off(
        "changes_its_user", {"security_opt": []}, (NO_NEW_PRIVILEGES,)
    ),
    "kill everything": Off("daemon_outlives_the_answer", changes=(KILLS_ALL,)),
    "wipe": Off("leaves_files_everywhere", changes=(WIPES,)),
    "look for System V objects": Off(
        "leaves_system_v_objects", changes=(LOOKS_FOR_IPC,)
    ),
    "memory that no fork inherits": Off(
        "exits_while_it_loads", changes=(NOT_INHERITED,)
    ),
    "no message queues": Off("leaves_message_queues", changes=(NO_QUEUES,)),
    "limit on output": Off("prints_without_end", changes=(LIMITS_OUTPUT,)),
    "limit on processes": Off(
        "process_bomb",
        {"pids_limit": 2000, "mem_limit": "2g", "memswap_limit": "2g"},
    ),
    "limit on disk": Off(
        "disk_fill",
        {
            "tmpfs": {"/tmp": BIG, "/dev/shm": BIG},
            "mem_limit": "2g",
            "memswap_limit": "2g",
        },
    ),
    "limit on files": Off("many_files", {"tmpfs": {"/tmp": BIG, "/dev/shm": BIG}}),
    "no network": Off("connects_to_the_network", {"network_mode": "bridge"}),
    "no environment": Off("reads_the_environment", {"environment": {"LEAKED": SECRET}}),
    "core of the filter of calls": Off(
        "makes_namespaces_and_mounts", {"security_opt": ["seccomp=unconfined"]}
    ),
    "limit on memory of a process": Off(
        "memory_in_files_without_a_name", {"mem_limit": "2g", "memswap_limit": "2g"}
    ),
}
# The same names where bubblewrap has that defence, or its counterpart: docs/sandbox.md lists them.
BUBBLEWRAP = {
    "own process namespace": Off(
        "sees_other_processes", changes=(OWN_PROCESSES, OWN_PROC)
    ),
    "no capability": Off("changes_its_user", changes=(DROPS,)),
    "end of the process namespace": Off(
        "daemon_outlives_the_answer",
        changes=(OWN_PROCESSES, OWN_PROC, GUARD_KILLS, PROVES_END),
    ),
    "own mounts": Off("leaves_files_everywhere", changes=(OWN_SCRATCH,)),
    "own IPC namespace": Off(
        "leaves_system_v_objects",
        {"allowed": frozenset({"shmget", "semget", "msgget"})},
        (OWN_IPC,),
    ),
    "memory that no fork inherits": Off(
        "exits_while_it_loads", changes=(NOT_INHERITED,)
    ),
    "no message queues": Off("leaves_message_queues", changes=(NO_QUEUES,)),
    "limit on output": Off("prints_without_end", changes=(LIMITS_OUTPUT,)),
    "limit on processes": Off(
        "process_bomb", {"cgroups": False}, (LIMITS_PROCESSES, WATCHES)
    ),
    "limit on disk": Off("disk_fill", {"cgroups": False}, (LARGE_SCRATCH, WATCHES)),
    "limit on files": Off("many_files", changes=(LARGE_SCRATCH,)),
    "no network": Off("connects_to_the_network", {"more": ("--share-net",)}),
    "no environment": Off(
        "reads_the_environment", {"more": ("--setenv", "LEAKED", SECRET)}
    ),
    "limit on memory of all processes": Off(
        "shared_memory_bomb", {"cgroups": False}, (WATCHES,)
    ),
    "no keys": Off("leaves_keys", {"allowed": frozenset({"add_key", "keyctl"})}),
    "no limits for others": Off(
        "limits_the_server", {"allowed": frozenset({"prlimit64"})}
    ),
    "no nameless files": Off(
        "memory_in_files_without_a_name",
        {"allowed": frozenset({"memfd_create"}), "cgroups": False},
        (WATCHES,),
    ),
    "read-only /dev": Off(
        "disk_fill",
        {"without": ("--remount-ro\0/dev\0",), "cgroups": False},
        (WATCHES,),
    ),
    "no namespaces in namespaces": Off(
        "makes_namespaces_and_mounts",
        {"allowed": frozenset({"unshare"}), "without": ("--disable-userns\0",)},
    ),
}


@pytest.fixture(autouse=True)
def listeners() -> Iterator[None]:
    yield
    take_back()


@contextmanager
def weakened(changes: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The folder of a changed server; empty when nothing of it is changed."""
    server = patched_server(*changes) if changes else ""
    try:
        yield server
    finally:
        shutil.rmtree(server, ignore_errors=True)


def held(provider: Provider, name: str) -> tuple[bool, Outcome | None, Traces | None]:
    """Whether everything that `test_attack` asserts holds here, too."""
    attack = ATTACKS[name]
    try:
        outcome, traces = asyncio.run(live(provider, attack))
    except ProviderFault:  # the attack reached the server itself
        assert name in ("limits_the_server", "every_signal_to_the_server")
        return False, None, None
    return attack.holds(outcome) and traces == Traces(), outcome, traces


# the same lines of the same server are off in bubblewrap, in the quick tests
SHARED = [
    name for name, off in DOCKER.items() if off.changes and off == BUBBLEWRAP.get(name)
]


@pytest.mark.docker
@pytest.mark.parametrize(
    "defence",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SHARED else [])
        for name in DOCKER
    ],
)
def test_without_it_the_attack_succeeds_in_docker(defence: str) -> None:
    off = DOCKER[defence]
    with weakened(off.changes) as server:
        holds, outcome, traces = held(
            WeakerDocker(SPEC, off.options, server), off.attack
        )
    assert not holds, (outcome, traces)


@pytest.mark.parametrize("defence", BUBBLEWRAP)
def test_without_it_the_attack_succeeds_in_bubblewrap(defence: str) -> None:
    off = BUBBLEWRAP[defence]
    with weakened(off.changes) as server:
        holds, outcome, traces = held(
            WeakerBubblewrap(SPEC, server=server, **off.options), off.attack
        )
    assert not holds, (outcome, traces)


def test_the_servers_memory_is_closed_to_the_same_user() -> None:
    with weakened([("_libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)", "pass")]) as server:
        holds, outcome, traces = held(
            WeakerBubblewrap(SPEC, server=server), "takes_the_servers_descriptors"
        )
    assert not holds, (outcome, traces)


def test_the_server_does_not_hear_an_interrupt_of_the_same_user() -> None:
    default = (
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)",  # or inherited
        "    signal.signal(signal.SIGINT, signal.default_int_handler)",
    )
    # the signal must meet it between two system calls
    with weakened([default]) as server:
        heard = any(
            not held(
                WeakerBubblewrap(SPEC, server=server), "every_signal_to_the_server"
            )[0]
            for _ in range(TRIES)
        )
    assert heard


@pytest.mark.docker
def test_the_unchanged_sandboxes_hold() -> None:
    """The patching by itself changes nothing."""
    with weakened(
        [("PR_SET_DUMPABLE, 0, 0, 0, 0", "PR_SET_DUMPABLE, 0, 0, 0, 0")]
    ) as server:
        for provider in (
            WeakerDocker(SPEC, server=server),
            WeakerBubblewrap(SPEC, server=server),
        ):
            assert held(provider, "every_signal_to_the_server")[0]
            assert held(provider, "exits_while_it_loads")[0]

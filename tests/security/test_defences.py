"""Each defence is there for a reason: without it, the attack it stops succeeds."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox import Provider, ProviderFault
from sandbox.contract import Outcome
from tests.security.attacks import ATTACKS
from tests.security.attacks.secrets import SECRET, take_back
from tests.security.probe import Traces
from tests.security.test_attacks import SPEC, live
from tests.security.weaker import WeakerBubblewrap, WeakerDocker, patched_server

TRIES = 100  # until luck has it


@dataclass(frozen=True)
class Off:
    """A defence that is off: by which option or which line of the server."""

    attack: str
    options: dict[str, object] | None = None
    old: str = ""
    new: str = ""


BIG = "size=512m,nr_inodes=100000,mode=1777,exec"
DOCKER = {
    "own user id": Off("changes_its_user", old="        if uid:\n            os.setgroups([])\n",
                       new="        if False:\n            os.setgroups([])\n"),
    "no new privileges": Off("changes_its_user", {"security_opt": []},
                             "_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)", "pass"),
    "kill everything": Off("daemon_outlives_the_answer", None, "return kill_all(account) and wipe()",
                           "return wipe()"),
    "wipe": Off("leaves_files_everywhere", None, "and wipe() and", "and"),
    "look for System V objects": Off("leaves_system_v_objects", None, " and no_ipc()", ""),
    "memory that no fork inherits": Off("exits_while_it_loads", None,
                                        "    memory.madvise(mmap.MADV_DONTFORK)\n", ""),
    "no message queues": Off("leaves_message_queues", None,
                             "resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))", "pass"),
    "limit on output": Off("prints_without_end", None, "running.log_bytes > output_bytes", "False"),
    "limit on processes": Off("process_bomb", {"pids_limit": 2000}),
    "limit on disk": Off("disk_fill", {"tmpfs": {"/tmp": BIG, "/dev/shm": BIG},
                                       "mem_limit": "2g", "memswap_limit": "2g"}),
    "limit on files": Off("many_files", {"tmpfs": {"/tmp": BIG, "/dev/shm": BIG}}),
    "no network": Off("connects_to_the_network", {"network_mode": "bridge"}),
    "no environment": Off("reads_the_environment", {"environment": {"LEAKED": SECRET}}),
    "core of the filter of calls": Off("makes_namespaces_and_mounts",
                                       {"security_opt": ["seccomp=unconfined"]}),
    "limit on memory of a process": Off(
        "memory_in_files_without_a_name", {"mem_limit": "2g", "memswap_limit": "2g"}),
}
BUBBLEWRAP = {
    "no keys": ("leaves_keys", {"allowed": frozenset({"add_key", "keyctl"})}),
    "no limits for others": ("limits_the_server", {"allowed": frozenset({"prlimit"})}),
    "no nameless files": ("memory_in_files_without_a_name", {"allowed": frozenset({"memfd_create"})}),
    "read-only /dev": ("disk_fill", {"without": ("--remount-ro\0/dev\0",)}),
    "no namespaces in namespaces": ("makes_namespaces_and_mounts", {
        "allowed": frozenset({"unshare"}), "without": ("--disable-userns\0",)}),
}


@pytest.fixture(autouse=True)
def listeners() -> Iterator[None]:
    yield
    take_back()


def held(provider: Provider, name: str) -> tuple[bool, Outcome | None, Traces | None]:
    """Whether everything that `test_attack` asserts holds here, too."""
    attack = ATTACKS[name]
    try:
        outcome, traces = asyncio.run(live(provider, attack))
    except ProviderFault:  # the attack reached the server itself
        assert name in ("limits_the_server", "every_signal_to_the_server")
        return False, None, None
    return attack.holds(outcome) and traces == Traces(), outcome, traces


@pytest.mark.docker
@pytest.mark.parametrize("defence", DOCKER)
def test_without_it_the_attack_succeeds_in_docker(defence: str) -> None:
    off = DOCKER[defence]
    server = patched_server(off.old, off.new) if off.old else ""
    try:
        holds, outcome, traces = held(WeakerDocker(SPEC, off.options, server), off.attack)
    finally:
        shutil.rmtree(server, ignore_errors=True)
    assert not holds, (outcome, traces)


@pytest.mark.parametrize("defence", BUBBLEWRAP)
def test_without_it_the_attack_succeeds_in_bubblewrap(defence: str) -> None:
    attack, options = BUBBLEWRAP[defence]
    holds, outcome, traces = held(WeakerBubblewrap(SPEC, **options), attack)
    assert not holds, (outcome, traces)


def test_the_servers_memory_is_closed_to_the_same_user() -> None:
    server = patched_server("_libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)", "pass")
    try:
        holds, outcome, traces = held(WeakerBubblewrap(SPEC, server=server),
                                      "takes_the_servers_descriptors")
    finally:
        shutil.rmtree(server, ignore_errors=True)
    assert not holds, (outcome, traces)


def test_the_server_does_not_hear_an_interrupt_of_the_same_user() -> None:
    server = patched_server("    signal.signal(signal.SIGINT, signal.SIG_IGN)",  # or inherited
                            "    signal.signal(signal.SIGINT, signal.default_int_handler)")
    try:  # the signal must meet the server between two system calls: not every one does
        heard = any(not held(WeakerBubblewrap(SPEC, server=server), "every_signal_to_the_server")[0]
                    for _ in range(TRIES))
    finally:
        shutil.rmtree(server, ignore_errors=True)
    assert heard


@pytest.mark.docker
def test_the_unchanged_sandboxes_hold() -> None:
    """The patching by itself changes nothing."""
    server = patched_server("PR_SET_DUMPABLE, 0, 0, 0, 0", "PR_SET_DUMPABLE, 0, 0, 0, 0")
    try:
        for provider in (WeakerDocker(SPEC, server=server), WeakerBubblewrap(SPEC, server=server)):
            assert held(provider, "every_signal_to_the_server")[0]
            assert held(provider, "exits_while_it_loads")[0]
    finally:
        shutil.rmtree(server, ignore_errors=True)

"""The fork server: first process of a sandbox; forks one child for each candidate.

It never looks into what a candidate is sent or answers: it relays bytes, so that a later fork finds
no earlier candidate in its memory. It talks to the engine in small packets on its standard streams:
one byte kind, four bytes length, body.

    engine -> server   S start a candidate    D bytes for it    K kill it
    server -> engine   R ready    D bytes from it    L its log    E it ended (JSON: facts)

When a candidate has ended, everything of its user id is killed, its files are removed, and only a
sandbox that is provably empty reports `clean`. This file needs the standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import json
import os
import resource
import select
import shutil
import signal
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import NoReturn

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import child

PACKET = struct.Struct(">cI")
CHUNK = 1 << 16
SCRATCH = ("/tmp", "/dev/shm", "/dev/mqueue")
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
KILL_PATIENCE_S = 2.0
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Settings:
    """What the provider asked of this server."""

    first_uid: int  # 0: candidates keep the server's own user id
    memory_bytes: int
    output_bytes: int
    disk_bytes: int
    scratch: str  # a private folder, for the provider that isolates nothing; else empty


@dataclass
class Running:
    """The candidate that is alive now, and the pipes to it."""

    pid: int
    pidfd: int
    to_child: int
    from_child: int
    log: int
    uid: int
    oom_before: int
    backlog: bytearray = field(default_factory=bytearray)
    log_bytes: int = 0
    flooded: bool = False


def send(kind: bytes, body: bytes | memoryview = b"") -> None:
    """Write one packet to the engine."""
    data = memoryview(PACKET.pack(kind, len(body)) + bytes(body))
    while data:
        data = data[os.write(1, data):]


def main() -> None:
    """Serve candidates until the engine closes the stream."""
    settings, preload = parse_arguments()
    for name in preload:
        importlib.import_module(name)
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.set_blocking(0, False)
    send(b"R")
    uid = settings.first_uid
    incoming = Incoming()
    while incoming.wait_for_start():
        serve_one(settings, uid, incoming)
        uid += 1 if uid else 0


def parse_arguments() -> tuple[Settings, list[str]]:
    """Settings from the command line that the provider wrote."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--first-uid", type=int, default=0)
    parser.add_argument("--memory-bytes", type=int, required=True)
    parser.add_argument("--output-bytes", type=int, required=True)
    parser.add_argument("--disk-bytes", type=int, required=True)
    parser.add_argument("--scratch", default="")
    parser.add_argument("--preload", nargs="*", default=[])
    given = vars(parser.parse_args())
    preload = given.pop("preload")
    return Settings(**given), preload


class Incoming:
    """Packets from the engine. Bodies pass through one buffer that is wiped after use."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._body_left = 0
        self._buffer = bytearray(CHUNK)

    def wait_for_start(self) -> bool:
        """Discard what came too late for the last candidate; False when the engine is gone."""
        while True:
            select.select([0], [], [])
            for kind, _ in self.read():
                if kind == b"S":
                    return True
                if kind == b"":
                    return False

    def read(self) -> list[tuple[bytes, bytes]]:
        """What can be read now: (kind, piece of body); kind b"" is the end of the stream."""
        try:
            if self._body_left == 0:
                return self._read_head()
            view = memoryview(self._buffer)[:min(CHUNK, self._body_left)]
            count = os.readv(0, [view])
            piece = bytes(view[:count])
            view[:count] = bytes(count)
        except BlockingIOError:
            return []
        if count == 0:
            return [(b"", b"")]
        self._body_left -= count
        return [(b"D", piece)]

    def _read_head(self) -> list[tuple[bytes, bytes]]:
        data = os.read(0, PACKET.size - len(self._head))
        if not data:
            return [(b"", b"")]
        self._head += data
        if len(self._head) < PACKET.size:
            return []
        kind, self._body_left = PACKET.unpack(self._head)
        self._head.clear()
        return [] if kind == b"D" else [(kind, b"")]


def serve_one(settings: Settings, uid: int, incoming: Incoming) -> None:
    """Fork a candidate, relay until it has ended, clean up, report."""
    running = start(settings, uid)
    alive = relay(running, incoming, settings.output_bytes)
    if not alive:
        os._exit(0)  # the engine is gone; everything in here goes with the first process
    _, status, usage = os.wait4(running.pid, 0)
    drain(running, settings.output_bytes)
    clean = clean_up(settings, uid, running.pid)
    for descriptor in (running.pidfd, running.to_child, running.from_child, running.log):
        os.close(descriptor)
    facts = {
        "exit": os.waitstatus_to_exitcode(status), "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_memory_bytes": usage.ru_maxrss * 1024, "flooded": running.flooded,
        "oom": oom_kills() > running.oom_before, "clean": clean,
    }
    send(b"E", json.dumps(facts).encode())


def start(settings: Settings, uid: int) -> Running:
    """Fork the child with nothing but its own pipes."""
    request_out, request_in = os.pipe()
    reply_out, reply_in = os.pipe()
    log_out, log_in = os.pipe()
    oom_before = oom_kills()
    pid = os.fork()
    if pid == 0:
        enter_child(settings, uid, request_out, reply_in, log_in)
    for descriptor in (request_out, reply_in, log_in):
        os.close(descriptor)
    for descriptor in (request_in, reply_out, log_out):
        os.set_blocking(descriptor, False)
    return Running(pid, os.pidfd_open(pid), request_in, reply_out, log_out, uid, oom_before)


def enter_child(settings: Settings, uid: int, request: int, reply: int, log: int) -> NoReturn:
    """Give up everything, then run the candidate. Never returns."""
    code = 70
    try:
        os.setsid()
        place_descriptors(request, reply, log)
        # The local provider may not be allowed to.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
        limit(settings)
        home = make_home(settings, uid)
        if uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.chdir(home)
        child.run(home)
        code = 0
    except BaseException as error:  # noqa: BLE001 - the border: nothing may return to the server
        with contextlib.suppress(OSError):
            os.write(2, f"sandbox: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def place_descriptors(request: int, reply: int, log: int) -> None:
    """0 nothing, 1 and 2 the log, 3 requests, 4 replies; everything else closed."""
    high = [os.dup2(fd, number, False) for number, fd in enumerate((request, reply, log), start=50)]
    null = os.open("/dev/null", os.O_RDONLY)
    for number, descriptor in enumerate((null, high[2], high[2], high[0], high[1])):
        os.dup2(descriptor, number, inheritable=number < 3)
    os.closerange(5, 1 << 16)


def limit(settings: Settings) -> None:
    """Limits that the kernel keeps for each process of the candidate."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (settings.memory_bytes, settings.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (settings.disk_bytes, settings.disk_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
    os.umask(0o077)


def make_home(settings: Settings, uid: int) -> str:
    """The candidate's own folder; it exists for this candidate only."""
    home = os.path.join(settings.scratch or "/tmp", f"candidate-{uid}")
    os.mkdir(home, 0o700)
    if uid:
        os.chown(home, uid, uid)
    return home


def relay(running: Running, incoming: Incoming, output_bytes: int) -> bool:
    """Pass bytes on until the candidate has ended; False when the engine is gone."""
    sources = [0, running.pidfd, running.from_child, running.log]
    while True:
        targets = [running.to_child] if running.backlog else []
        ready, writable, _ = select.select(sources, targets, [])
        if writable:
            feed(running)
        for descriptor in (running.from_child, running.log):
            if descriptor in ready and not forward(running, descriptor, output_bytes):
                sources.remove(descriptor)
        if 0 in ready:
            for kind, piece in incoming.read():
                if kind == b"":
                    return False
                if kind == b"K":
                    signal.pidfd_send_signal(running.pidfd, signal.SIGKILL)
                running.backlog += piece
        if running.pidfd in ready:
            return True


def feed(running: Running) -> None:
    """Hand the candidate what it can take; wipe what it took."""
    try:
        count = os.write(running.to_child, memoryview(running.backlog)[:CHUNK])
    except BlockingIOError:
        return
    except BrokenPipeError:
        count = len(running.backlog)
    running.backlog[:count] = bytes(count)
    del running.backlog[:count]


def forward(running: Running, descriptor: int, output_bytes: int) -> bool:
    """Pass one piece from the candidate to the engine; False at the end of its pipe."""
    try:
        data = os.read(descriptor, CHUNK)
    except BlockingIOError:
        return True
    if not data:
        return False
    if descriptor == running.from_child:
        send(b"D", data)
        return True
    running.log_bytes += len(data)
    if running.log_bytes <= output_bytes:
        send(b"L", data)
    elif not running.flooded:
        running.flooded = True
        signal.pidfd_send_signal(running.pidfd, signal.SIGKILL)
    return True


def drain(running: Running, output_bytes: int) -> None:
    """What the candidate had written before it ended; at most one pipe full of each."""
    for descriptor in (running.from_child, running.log):
        for _ in range(4):
            if not select.select([descriptor], [], [], 0)[0]:
                break
            if not forward(running, descriptor, output_bytes):
                break


def clean_up(settings: Settings, uid: int, pid: int) -> bool:
    """Kill what the candidate left, remove its files; True when nothing of it remains."""
    if settings.scratch:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        shutil.rmtree(os.path.join(settings.scratch, f"candidate-{uid}"), ignore_errors=True)
        return False  # nothing is isolated, so nothing can be proved
    if not uid:
        return False  # same user id as the server: used once, thrown away whole
    return kill_all(uid) and wipe() and no_ipc()


def kill_all(uid: int) -> bool:
    """Kill every process but this one, as the candidate's own user id; True when none is left."""
    deadline = time.monotonic() + KILL_PATIENCE_S
    while others():
        if time.monotonic() > deadline:
            return False
        killer = os.fork()
        if killer == 0:
            os.setresuid(uid, uid, uid)
            with contextlib.suppress(OSError):  # nobody was left to kill
                os.kill(-1, signal.SIGKILL)
            os._exit(0)
        os.waitpid(killer, 0)
        time.sleep(0.0005)
    return True


def others() -> list[int]:
    """Process ids in here besides this process; reaps those that are only zombies."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def wipe() -> bool:
    """Empty every place a candidate could write to."""
    try:
        for place in SCRATCH:
            if not os.path.isdir(place):
                continue
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)
    except (OSError, RecursionError):
        return False
    return True


def no_ipc() -> bool:
    """True when no System V object was left behind."""
    for kind in ("shm", "sem", "msg"):
        with open(f"/proc/sysvipc/{kind}") as file:
            if len(file.readlines()) > 1:
                return False
    return True


def oom_kills() -> int:
    """How often the kernel killed for memory in this sandbox, so far."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path) as file:
                for line in file:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        except OSError:
            continue
    return 0


if __name__ == "__main__":
    main()

"""The fork server: first process of a sandbox; forks one child per candidate.

It never interprets requests or answers of a candidate: it relays bytes through memory
that no fork inherits, so that a later candidate finds nothing of an earlier one. It
exchanges small packets with the engine on its standard streams: one byte kind, four
bytes length, body.

    engine -> server   S start a candidate    D bytes for it    K kill it
                       G bytes for it, to be measured    M the measurement?
    server -> engine   R ready    D bytes from it    L its log    E it ended (JSON: facts)
                       T the measurement (JSON: see `clock`)

When a candidate has ended, every other process in the sandbox is killed and its files
are removed; only a sandbox that is provably empty reports `clean`. This file needs the
standard library only.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import ctypes
import importlib
import json
import os
import resource
import select
import signal
import time
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from . import child, clock, namespaces, traces, watch
from .incoming import CHUNK, PACKET, Incoming, private_memory
from .removal import empty

REPORT = 5  # first free descriptor of a candidate; those below are its pipes
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = (
    1,
    4,
    36,
    38,
)
WATCH_EVERY_S = 0.05
_TELLS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Settings:
    """Settings of this server, from the provider's command line.

    Attributes:
        first_uid: User id of the first candidate; 0: candidates keep the server's user
            id.
        memory_bytes: Limit on data of each process.
        output_bytes: Limit on the log of a candidate, and on each output stream of a
            command.
        disk_bytes: Limit on the size of a file, and of each scratch file system.
        files: Limit on files in each scratch file system.
        processes: Limit on processes and threads.
        scratch: A private directory, for the provider that isolates nothing; else
            empty.
        namespaces: Whether each candidate gets separate namespaces, as there is only
            one user id.
        filter: The system call filter for those candidates.
        watch: Whether to watch memory and processes, as no control group limits them.
        watch_files: Whether to watch the number of files, as no mount limits it.
        once: Whether to serve one candidate only, so that no other is started ahead.
    """

    first_uid: int
    memory_bytes: int
    output_bytes: int
    disk_bytes: int
    files: int
    processes: int
    scratch: str
    namespaces: bool
    filter: bytes
    watch: bool
    watch_files: bool
    once: bool


@dataclass
class Running:
    """The live candidate, the pipes to it, and its resource usage.

    Attributes:
        oom_before: The sandbox's count of out-of-memory kills when it started.
        report: Pipe for facts about its end that this process can't see.
        namespaces: Whether it has separate namespaces, below their first process.
        ahead: The process that waits for the next candidate.
        watch: Measures requests.
        log_bytes: Size of its log so far.
        flooded: Whether it was killed for too much output.
        exceeded: The limit for which the watch killed it.
        cpu_s: CPU time of its ended processes.
        peak_kib: Largest resident size of one process.
    """

    pid: int
    pidfd: int
    to_child: int
    from_child: int
    log: int
    oom_before: int
    report: int
    namespaces: bool
    ahead: Running | None = None
    watch: clock.Stopwatch = field(default_factory=clock.Stopwatch)
    log_bytes: int = 0
    flooded: bool = False
    exceeded: str = ""
    cpu_s: float = 0.0
    peak_kib: int = 0

    @property
    def waiting(self) -> int:
        """Process id of `ahead`; 0 without one."""
        return self.ahead.pid if self.ahead else 0

    def close(self) -> None:
        """Close all descriptors that the server holds for it."""
        for descriptor in (
            self.pidfd,
            self.to_child,
            self.from_child,
            self.log,
            self.report,
        ):
            os.close(descriptor)

    def kill(self) -> None:
        """Kill the candidate, or its namespaces with all their processes.

        The usage of killed namespaces is not accounted to this process, so it is read
        before.
        """
        if self.namespaces:
            self.cpu_s, self.peak_kib = watch.spent(self.waiting)
        # it has ended; its remaining processes are killed at the end
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def account(self, usage: resource.struct_rusage) -> None:
        """Add the usage of one ended process of the candidate.

        Args:
            usage: As `os.wait4` returns it.
        """
        cpu_s = usage.ru_utime + usage.ru_stime
        self.cpu_s = max(self.cpu_s, cpu_s) if self.namespaces else self.cpu_s + cpu_s
        self.peak_kib = max(self.peak_kib, usage.ru_maxrss)


_outgoing = private_memory(PACKET.size + CHUNK)


def send(kind: bytes, body: bytes = b"") -> None:
    """Write one packet of the server to the engine.

    Args:
        kind: One byte.
        body: Its content.
    """
    write_all(memoryview(PACKET.pack(kind, len(body)) + body))


def write_all(data: memoryview) -> None:
    """Write all bytes to the engine.

    Args:
        data: The bytes.
    """
    while data:
        data = data[os.write(1, data) :]


def main() -> None:
    """Serve candidates until the engine closes the stream."""
    settings, preload = parse_arguments()
    require_kernel()
    for name in preload:
        importlib.import_module(name)
    protect_myself()
    os.set_blocking(0, False)
    send(b"R")
    uid = settings.first_uid
    incoming = Incoming()
    # so that the engine never waits for a fork
    ahead: Running | None = start(settings, uid)
    while incoming.wait_for_start():
        ahead = serve_one(settings, uid, incoming, ahead)
        uid += 1 if uid else 0
        if ahead is None and not settings.once:
            ahead = start(settings, uid)


def require_kernel() -> None:
    """Exit with a clear message on a kernel that can't run this server."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        raise SystemExit(
            f"this kernel has no pidfd_open ({error}): Linux 5.3, or gVisor (runsc) of 2023"
        ) from None


def protect_myself() -> None:
    """Keep candidates from looking into this process and from interrupting it."""
    # the only signal that would reach the first process, as Python has a handler for it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with contextlib.suppress(OSError):  # read-only, unless crun made it
        os.chmod("/sys/fs/cgroup", 0o755)


def parse_arguments() -> tuple[Settings, list[str]]:
    """Parse the command line that the provider wrote.

    Returns:
        The settings, and the modules to import before forking.
    """
    parser = argparse.ArgumentParser()
    for name in (
        "first-uid",
        "memory-bytes",
        "output-bytes",
        "disk-bytes",
        "files",
        "processes",
    ):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--scratch", default="")
    parser.add_argument("--namespaces", action="store_true")
    parser.add_argument("--filter", type=base64.b64decode, default=b"")
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--watch-files", action="store_true")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--preload", nargs="*", default=[])
    given = vars(parser.parse_args())
    preload = given.pop("preload")
    return Settings(**given), preload


def serve_one(
    settings: Settings, uid: int, incoming: Incoming, ahead: Running | None
) -> Running | None:
    """Relay for one candidate until it ends, clean up and report.

    Args:
        settings: Settings of this server.
        uid: User id of the candidate; 0: the server's.
        incoming: Packets from the engine.
        ahead: The process started ahead for this candidate; None: start one now.

    Returns:
        The process started ahead for the next candidate; None if there is none.
    """
    running = (
        start(settings, uid) if ahead is None else waiting_still(settings, uid, ahead)
    )
    alive = relay(running, incoming, settings)
    if not alive:
        # the engine is gone; all processes of the sandbox end with the first one
        os._exit(0)
    _, status, usage = os.wait4(running.pid, 0)
    running.account(usage)
    drain(running, settings.output_bytes)
    end = namespaces.read_end(running.report, status)
    oom = traces.oom_kills() > running.oom_before
    clean = clean_up(settings, uid, running) and not oom and not end.fault
    incoming.forget()
    running.close()
    facts = {
        "exit": os.waitstatus_to_exitcode(end.status),
        "fault": end.fault,
        "cpu_s": running.cpu_s,
        "peak_memory_bytes": running.peak_kib * 1024,
        "flooded": running.flooded,
        "exceeded": running.exceeded,
        "oom": oom,
        "clean": clean,
    }
    send(b"E", json.dumps(facts).encode())
    return running.ahead


class Ends(NamedTuple):
    """The candidate's ends of its pipes."""

    request: int
    reply: int
    log: int
    report: int


def start(settings: Settings, uid: int) -> Running:
    """Fork a child with nothing but its own pipes.

    Args:
        settings: Settings of this server.
        uid: User id of the candidate; 0: the server's.

    Returns:
        The child.

    Raises:
        OSError: The kernel refuses the fork.
    """
    request_out, request_in = os.pipe()
    reply_out, reply_in = os.pipe()
    log_out, log_in = os.pipe()
    report_out, report_in = os.pipe()
    theirs = Ends(request_out, reply_in, log_in, report_in)
    oom_before = traces.oom_kills()
    try:
        pid = namespaces.fork() if settings.namespaces else os.fork()
    except OSError:
        for descriptor in (*theirs, request_in, reply_out, log_out, report_out):
            os.close(descriptor)
        raise
    if pid == 0:
        if settings.namespaces:
            namespaces.separate(
                report_in, settings.disk_bytes, settings.files, settings.filter
            )
        enter_child(settings, uid, theirs)
    for descriptor in theirs:
        os.close(descriptor)
    for descriptor in (request_in, reply_out, log_out):
        os.set_blocking(descriptor, False)
    return Running(
        pid,
        os.pidfd_open(pid),
        request_in,
        reply_out,
        log_out,
        oom_before,
        report_out,
        settings.namespaces,
    )


def waiting_still(settings: Settings, uid: int, ahead: Running) -> Running:
    """Return the process that waits for its candidate, or a new one if it has died.

    Args:
        settings: Settings of this server.
        uid: User id of the candidate; 0: the server's.
        ahead: The waiting process.

    Returns:
        A live process.
    """
    if not select.select([ahead.pidfd], [], [], 0)[0]:
        return ahead
    with contextlib.suppress(ChildProcessError):  # the clean-up may have reaped it
        os.wait4(ahead.pid, 0)
    ahead.close()
    clean_up(settings, uid, ahead)
    return start(settings, uid)


def enter_child(settings: Settings, uid: int, ends: Ends) -> NoReturn:
    """Drop all privileges, then run the candidate. Never returns.

    Args:
        settings: Settings of this server.
        uid: User id of the candidate; 0: the server's.
        ends: The candidate's ends of its pipes.
    """
    try:
        home = prepare_child(settings, uid, ends)
    except BaseException as error:  # noqa: BLE001 - the border: nothing may return to the server
        # a fault of the machine: no code of the candidate has run
        with contextlib.suppress(OSError):
            os.write(
                ends.report,
                namespaces.FAULT + f"{type(error).__name__}: {error}".encode(),
            )
        os._exit(70)
    code = 70
    try:
        os.closerange(REPORT, 1 << 16)
        child.run(home, settings.output_bytes)
        code = 0
    except BaseException as error:  # noqa: BLE001 - the border: nothing may return to the server
        with contextlib.suppress(OSError):
            os.write(2, f"sandbox: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def prepare_child(settings: Settings, uid: int, ends: Ends) -> str:
    """Set up descriptors, limits, directory and user id of the candidate.

    Args:
        settings: Settings of this server.
        uid: User id of the candidate; 0: the server's.
        ends: The candidate's ends of its pipes.

    Returns:
        The candidate's directory, which is now the working directory.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    place_descriptors(ends)
    die_first()
    limit(settings)
    home = make_home(settings, uid)
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir(home)
    return home


def die_first() -> None:
    """Have the kernel kill this process before the server when memory runs out.

    The file belongs to this user only while the process is dumpable.
    """
    _libc.prctl(PR_SET_DUMPABLE, True, 0, 0, 0)
    # a kernel without this file chooses by itself
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    _libc.prctl(PR_SET_DUMPABLE, False, 0, 0, 0)


def place_descriptors(ends: Ends) -> None:
    """Place the candidate's descriptors and close all others.

    0 is /dev/null, 1 and 2 the log, 3 requests, 4 replies; the report keeps its number.

    Args:
        ends: The candidate's ends of its pipes.
    """
    high = [os.dup2(fd, number, False) for number, fd in enumerate(ends[:3], start=50)]
    null = os.open("/dev/null", os.O_RDONLY)
    for number, descriptor in enumerate((null, high[2], high[2], high[0], high[1])):
        os.dup2(descriptor, number, inheritable=number < 3)
    os.closerange(REPORT, ends.report)
    os.closerange(ends.report + 1, 1 << 16)


def limit(settings: Settings) -> None:
    """Set the kernel's limits for each process of the candidate.

    Args:
        settings: Settings of this server.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(
        resource.RLIMIT_DATA, (settings.memory_bytes, settings.memory_bytes)
    )
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (settings.disk_bytes, settings.disk_bytes)
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
    # older kernels count the processes of the whole host
    if settings.namespaces and kernel_version() >= (5, 14):
        most = settings.processes + namespaces.WAITING
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    os.umask(0o077)


def kernel_version() -> tuple[int, ...]:
    """Return the version of the kernel.

    Returns:
        Major and minor number.
    """
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


def make_home(settings: Settings, uid: int) -> str:
    """Make the candidate's directory, which exists for this candidate only.

    Args:
        settings: Settings of this server.
        uid: User id of its owner; 0: the server's.

    Returns:
        Its path.
    """
    home = os.path.join(settings.scratch or "/tmp", f"candidate-{uid}")
    os.mkdir(home, 0o700)
    if uid:
        os.chown(home, uid, uid)
    return home


def relay(running: Running, incoming: Incoming, settings: Settings) -> bool:
    """Relay bytes until the candidate ends.

    Args:
        running: The candidate.
        incoming: Packets from the engine.
        settings: Settings of this server.

    Returns:
        False when the engine is gone.
    """
    sources = {running.pidfd, running.from_child, running.log}
    watched = settings.watch or settings.watch_files
    watch_s = WATCH_EVERY_S if watched else None
    watch_at = time.monotonic()
    while True:
        readable = [*sources, 0] if incoming.has_room else list(sources)
        targets = [running.to_child] if incoming.waiting else []
        ready, writable, _ = select.select(readable, targets, [], watch_s)
        if writable:
            feed(running, incoming, settings)
        for descriptor in (running.from_child, running.log):
            if descriptor in ready and not forward(
                running, descriptor, settings.output_bytes
            ):
                sources.remove(descriptor)
        if 0 in ready:
            kind = incoming.read()
            if kind == b"":
                return False
            if kind is not None:
                obey(kind, running, settings)
        if running.pidfd in ready:
            return True
        if watch_s and time.monotonic() > watch_at:
            watch_at = time.monotonic() + watch_s
            look_at(running, settings)


def obey(kind: bytes, running: Running, settings: Settings) -> None:
    """Do what a packet of the engine asks for; data needs nothing but to be relayed.

    Args:
        kind: Kind of the packet.
        running: The candidate.
        settings: Settings of this server.
    """
    if kind == b"K":
        running.kill()
    elif kind == b"G":
        running.watch.arm(processes(running, settings))
    elif kind == b"M":
        found = running.watch.read(processes(running, settings))
        send(b"T", json.dumps(found).encode())


def processes(running: Running, settings: Settings) -> list[int]:
    """Return the processes of the candidate.

    Args:
        running: The candidate.
        settings: Settings of this server.

    Returns:
        Process ids.
    """
    alone = not settings.scratch  # else this server sees the whole machine
    return clock.processes(running.pid, running.waiting, alone)


def feed(running: Running, incoming: Incoming, settings: Settings) -> None:
    """Pass on what the engine sent; then the next candidate may start.

    Args:
        running: The candidate.
        incoming: Packets from the engine.
        settings: Settings of this server.
    """
    if running.watch.armed and incoming.fits:
        running.watch.start()
    incoming.feed(running.to_child)
    if overlaps(settings) and running.ahead is None and not incoming.waiting:
        # the candidate may use all processes: then the next one starts later
        with contextlib.suppress(OSError):
            running.ahead = start(settings, 0)


def overlaps(settings: Settings) -> bool:
    """Return whether the next candidate may start during this one.

    Their processes are distinguished by namespace and by the kernel's list of children.

    Args:
        settings: Settings of this server.
    """
    return settings.namespaces and not settings.once and _TELLS_CHILDREN


def look_at(running: Running, settings: Settings) -> None:
    """Kill a candidate that exceeds limits which the kernel does not enforce here.

    Args:
        running: The candidate.
        settings: Settings of this server.
    """
    most = settings.memory_bytes + settings.disk_bytes
    found = watch.used(most, running.waiting) if settings.watch else watch.Used(0, 0)
    places = ("/tmp", "/dev/shm") if settings.watch_files else ()
    if found.memory_bytes > most:
        running.exceeded = "memory"
    # one more for the first process of its namespace
    elif found.threads > settings.processes + 1:
        running.exceeded = "processes"
    elif any(watch.files_in(place) > settings.files for place in places):
        running.exceeded = "files"
    if running.exceeded:
        running.kill()


def forward(running: Running, descriptor: int, output_bytes: int) -> bool:
    """Relay one chunk from the candidate to the engine.

    Args:
        running: The candidate.
        descriptor: Its replies or its log.
        output_bytes: Limit on the log; a candidate that exceeds it is killed.

    Returns:
        False at the end of the pipe.
    """
    with memoryview(_outgoing) as packet, packet[PACKET.size :] as body:
        try:
            count = os.readv(descriptor, [body])
        except BlockingIOError:
            return True
        if not count:
            return False
        kind = b"D"
        if descriptor == running.from_child:
            running.watch.lap()
        else:
            kind = b"L"
            running.log_bytes += count
            if running.log_bytes > output_bytes:
                running.flooded = True
                running.kill()
                return True
        PACKET.pack_into(packet, 0, kind, count)
        with packet[: PACKET.size + count] as whole:
            write_all(whole)
    return True


def drain(running: Running, output_bytes: int) -> None:
    """Relay the remaining output of an ended candidate; at most one full pipe of each.

    Args:
        running: The candidate.
        output_bytes: Limit on the log.
    """
    for descriptor in (running.from_child, running.log):
        for _ in range(4):
            if not select.select([descriptor], [], [], 0)[0]:
                break
            if not forward(running, descriptor, output_bytes):
                break


def clean_up(settings: Settings, uid: int, running: Running) -> bool:
    """Kill the candidate's remaining processes and remove its files.

    Args:
        settings: Settings of this server.
        uid: User id of the candidate.
        running: The candidate.

    Returns:
        True if nothing of the candidate remains.
    """
    if settings.scratch:  # nothing is isolated: files that it wrote elsewhere stay
        ended = bool(traces.end_descendants(running.account))
        return ended and bool(empty(settings.scratch))
    if settings.namespaces:  # they take files and System V objects with them
        return not traces.others(running.account, running.waiting)
    return bool(traces.gone(running.account))

"""An honest candidate that looks everywhere for what an earlier one left."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Traces:
    """What was found, by place; nothing, by default."""

    value: int = 42
    files: list[str] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    memory: int = 0
    ipc: int = 0
    sockets: int = 0
    environment: list[str] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)


PROBE = '''
import ctypes, hashlib, mmap, os, re, sys

def answer(backwards, length, digest):
    """The prefix of the mark comes backwards, the rest as a hash, so as not to find oneself."""
    prefix = backwards[::-1].encode()

    def marked(data):
        return sum(hashlib.sha256(data[at:at + length]).hexdigest() == digest
                   for at in (found.start() for found in re.finditer(re.escape(prefix), data)))

    return {"value": sum(range(7)) * 2, "files": files(marked), "processes": processes(),
            "memory": memory(marked), "ipc": ipc(), "sockets": sockets(marked),
            "environment": sorted(set(os.environ) & {"PLANTED", "EVOLVE_TEST_SECRET"}),
            "queues": queues()}

def files(marked):
    mine, found = os.getcwd(), []
    for place in ("/tmp", "/dev/shm", "/dev/mqueue", "/var/tmp", "/run", "/dev"):
        for folder, folders, names in os.walk(place):
            if folder == mine or (place == "/dev" and folder.startswith(("/dev/shm", "/dev/mqueue"))):
                continue
            found += [f"{folder}/{name}"[:80] for name in names
                      if place != "/dev" or marked(name.encode())]
            found += [f"{folder}/{name}"[:80] for name in folders
                      if place != "/dev" and f"{folder}/{name}" != mine]
    return found

def processes():
    return [int(name) for name in os.listdir("/proc")
            if name.isdigit() and int(name) not in (1, os.getpid())]

def memory(marked):
    hits = 0
    for line in open("/proc/self/maps"):
        span, rights, *_, = line.split()
        if rights.startswith("rw") and "[v" not in line and "[stack" not in line:
            start, end = (int(part, 16) for part in span.split("-"))
            if end - start < 1 << 28:
                hits += marked(ctypes.string_at(start, end - start))
    return hits

def ipc():
    return sum(len(open(f"/proc/sysvipc/{kind}").readlines()) - 1 for kind in ("shm", "sem", "msg"))

def sockets(marked):
    return marked(open("/proc/net/unix", "rb").read())

def queues():
    return os.listdir("/dev/mqueue") if os.path.isdir("/dev/mqueue") else []
'''

"""The Docker provider: a warm hardened container for each worker, a fork server as its first process.

The SDK is synchronous: it runs in threads and for the life cycle only. Traffic with candidates is
asyncio on the attached socket. A container dies with its owner: its first process reads from that
socket and ends with it; `prune` removes what a lost daemon left behind.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import struct
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

import docker
import docker.errors
import requests.exceptions

from sandbox.errors import CandidateFault, ProviderFault, Reason, SandboxError, SandboxUnavailable
from sandbox.packets import PacketStream
from sandbox.provider import (
    Box,
    Progress,
    Provider,
    SandboxSpec,
    server_arguments,
    server_environment,
)
from sandbox.rootfs import INSIDE, PACKAGES, build_rootfs, interpreter, rootfs_key, write_tar

LABEL = "evolve.sandbox"
REPOSITORY = "evolve-sandbox"
START_PATIENCE_S = 60.0
_CAPABILITIES = ["SETUID", "SETGID", "KILL", "CHOWN", "DAC_OVERRIDE"]
_STREAM = struct.Struct(">BxxxI")
_FIRST_UID, _UIDS_PER_BOX = 2_000_000, 50_000
_T = TypeVar("_T")
_START_HINT = "start it (for example: systemctl start docker), or use --sandbox bubblewrap"
_boxes = itertools.count()


def connect() -> Any:
    """A client of the running engine. Raises `SandboxUnavailable`."""
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise SandboxUnavailable(f"Docker does not answer: {error}", _START_HINT) from None
    return client


def prune(client: Any, every: bool = False) -> int:
    """Remove our containers whose owner is gone (or every one); returns how many."""
    removed = 0
    for container in client.containers.list(all=True, filters={"label": LABEL}):
        if every or not _alive(container.labels[LABEL]):
            try:
                container.remove(force=True)
                removed += 1
            except docker.errors.APIError as error:
                if error.status_code not in (404, 409):  # somebody else is removing it
                    raise ProviderFault(f"can't remove {container.name}: {error}") from None
    return removed


def _owner() -> str:
    """This process, as a label: its id and start time, for ids are used again."""
    return f"{os.getpid()}-{_start_time(os.getpid())}"


def _start_time(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[19]
    except OSError:
        return "gone"


def _alive(owner: str) -> bool:
    pid, _, started = owner.partition("-")
    return pid.isdigit() and _start_time(int(pid)) == started


class DockerProvider(Provider):
    """Starts hardened containers: no network, read-only root, five capabilities, hard limits."""

    name = "docker"
    isolates = True

    def __init__(self, spec: SandboxSpec) -> None:
        super().__init__(spec)
        self._client: Any = None
        self._image = spec.image or f"{REPOSITORY}:{rootfs_key(spec.packages)}"

    async def prepare(self, progress: Progress) -> None:
        """Connect, remove what dead owners left, and build the image on first use."""
        await asyncio.to_thread(self._prepare, progress)

    def _prepare(self, progress: Progress) -> None:
        self._client = connect()
        prune(self._client)
        try:
            self._client.images.get(self._image)
        except docker.errors.ImageNotFound:
            self._make_image(progress)

    def _make_image(self, progress: Progress) -> None:
        if self.spec.image:
            raise SandboxUnavailable(f"the image {self.spec.image} is not on this machine",
                                     f"docker pull {self.spec.image}")
        root = build_rootfs(self.spec.packages, progress)
        progress("sandbox: importing the image")
        with tempfile.TemporaryFile() as tar:
            write_tar(root, tar)
            tar.seek(0)
            self._client.api.import_image_from_stream(
                iter(lambda: tar.read(1 << 20), b""), repository=REPOSITORY,
                tag=rootfs_key(self.spec.packages), changes=[f"LABEL {LABEL}=image"])

    async def start(self) -> Box:
        """Create, attach, start, and wait until the fork server is ready."""
        container, sock = await self._in_thread(self._create)
        try:
            box = DockerBox(self, container, *await _attach(sock), not self.spec.fresh)
            async with asyncio.timeout(START_PATIENCE_S):
                packet = await box.packets.receive()
            if packet is None or packet.kind != b"R":
                raise await box.explain_death()
        except (TimeoutError, SandboxError) as error:
            message = str(error) or f"it was not ready within {START_PATIENCE_S:g} s"
            await self.remove(container)
            raise ProviderFault(f"a sandbox container did not start: {message}") from None
        return box

    def _create(self) -> tuple[Any, Any]:
        first_uid = _FIRST_UID + next(_boxes) % 1000 * _UIDS_PER_BOX
        command = [interpreter(), f"{INSIDE}/server.py",
                   *server_arguments(self.spec, first_uid=first_uid)]
        container = self._client.containers.create(self._image, command, **self._hardening())
        sock = self._client.api.attach_socket(
            container.id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        container.start()
        return container, sock._sock

    def _hardening(self) -> dict[str, Any]:
        limits = self.spec.limits
        scratch = f"size={limits.disk_bytes},nr_inodes={limits.files},mode=1777,nosuid,nodev"
        return {
            "labels": {LABEL: _owner()}, "environment": server_environment(PACKAGES),
            "network_mode": "none", "read_only": True, "user": "0:0", "working_dir": "/tmp",
            "cap_drop": ["ALL"], "cap_add": _CAPABILITIES,
            "security_opt": ["no-new-privileges"], "ipc_mode": "private",
            "tmpfs": {"/tmp": scratch, "/dev/shm": scratch},
            "mem_limit": limits.memory_bytes + limits.disk_bytes,
            "memswap_limit": limits.memory_bytes + limits.disk_bytes,
            "pids_limit": limits.processes, "nano_cpus": int(limits.cpus * 1e9),
            "log_config": {"type": "none"}, "stdin_open": True, "auto_remove": True,
            "entrypoint": [],
        }

    async def remove(self, container: Any) -> None:
        """Kill and remove; harmless when it is gone."""
        def remove() -> None:
            try:
                container.remove(force=True)
            except docker.errors.APIError as error:
                if error.status_code not in (404, 409):
                    raise

        try:
            await self._in_thread(remove)
        except ProviderFault:
            return  # the daemon is gone: the container ends with our socket, `prune` does the rest

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(work)
        except docker.errors.NotFound as error:
            raise ProviderFault(f"Docker: {error.explanation}",
                                "run: evolve doctor --sandbox") from None
        except (docker.errors.DockerException, requests.exceptions.RequestException,
                OSError) as error:
            raise ProviderFault(f"Docker failed: {error}", _START_HINT) from None

    async def was_out_of_memory(self, container: Any) -> bool:
        """Whether the kernel killed in this container for memory; False when it is gone."""
        def inspect() -> bool:
            try:
                container.reload()
            except docker.errors.NotFound:
                return False
            return bool(container.attrs["State"].get("OOMKilled"))

        return await self._in_thread(inspect)

    async def close(self) -> None:
        """Close the connection to the daemon."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)


class DockerBox(Box):
    """A running container and its attached streams."""

    def __init__(self, provider: DockerProvider, container: Any, packets: PacketStream,
                 demux: asyncio.Task[bytes], reusable: bool) -> None:
        self._provider, self._container, self._demux = provider, container, demux
        self.packets, self.reusable = packets, reusable

    async def kill(self) -> None:
        self.packets.close()
        await self._provider.remove(self._container)
        self._demux.cancel()

    async def explain_death(self) -> SandboxError:
        errors = await self._demux
        if await self._provider.was_out_of_memory(self._container):
            return CandidateFault(Reason.MEMORY, "killed: out of memory")
        detail = errors.decode(errors="replace").strip()[-500:]
        return ProviderFault(f"the container is gone{': ' + detail if detail else ''}")


async def _attach(sock: Any) -> tuple[PacketStream, asyncio.Task[bytes]]:
    """Streams on the attached socket; Docker's own framing is taken off on the way."""
    sock.setblocking(False)
    raw, writer = await asyncio.open_unix_connection(sock=sock)
    stdout = asyncio.StreamReader()
    demux = asyncio.create_task(_demultiplex(raw, stdout))
    return PacketStream(stdout, writer), demux


async def _demultiplex(raw: asyncio.StreamReader, stdout: asyncio.StreamReader) -> bytes:
    """Feed the server's standard output on; returns the tail of its standard error at the end."""
    errors = bytearray()
    try:
        while True:
            stream, length = _STREAM.unpack(await raw.readexactly(_STREAM.size))
            data = await raw.readexactly(length)
            if stream == 1:
                stdout.feed_data(data)
            else:
                errors += data
                del errors[:-4096]
    except (asyncio.IncompleteReadError, ConnectionError):
        return bytes(errors)
    finally:
        stdout.feed_eof()

"""The Docker provider: one warm hardened container per worker.

The first process of a container is a fork server. The SDK is synchronous: it runs in
threads and for the life cycle only. Traffic with candidates is asyncio on the attached
socket. A container dies with its owner: its first process reads from that socket and
ends with it; `prune` removes containers that a lost daemon left over.
"""

import asyncio
import contextlib
import grp
import hashlib
import itertools
import os
import resource
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import docker
import docker.errors
import docker.types
import requests.exceptions

from evolve.sandbox.cache import cache_folder, require_executable, unwritable
from evolve.sandbox.errors import (
    CandidateFault,
    ProviderFault,
    Reason,
    SandboxError,
    SandboxUnavailable,
)
from evolve.sandbox.folder import MOUNT, SharedFolder, remove_abandoned
from evolve.sandbox.image import (
    EARLIER_REPOSITORY,
    IMAGE_LABEL,
    REPOSITORY,
    SandboxImage,
    derived_image,
    own_image,
)
from evolve.sandbox.owner import start_time
from evolve.sandbox.packets import PacketStream
from evolve.sandbox.provider import (
    Box,
    Progress,
    Provider,
    SandboxSpec,
    server_arguments,
    server_environment,
)
from evolve.sandbox.rootfs import INSIDE, PACKAGES
from evolve.sandbox.seccomp import docker_profile

LABEL = "evolve.sandbox"  # of a container; its value names the owner
START_PATIENCE_S = 60.0
_SLOW_S, _ANSWER_S, _WORK_S = 1.5, 10, 60  # until a line, no answer, no result
_CAPABILITIES = ["SETUID", "SETGID", "KILL", "CHOWN", "DAC_OVERRIDE"]
_STREAM = struct.Struct(">BxxxI")
_READ_BYTES, _ERROR_TAIL_BYTES = 1 << 16, 4096
_FILES = 4096  # descriptors of the server; a candidate gets fewer
_PODMAN_PROCESSES = 32_768  # podman lowers its own limit to the kernel's usual pid_max
_ERROR_CHARS = 600  # a message may repeat the whole request
_FIRST_UID = 2_000_000
_T = TypeVar("_T")
_START_HINT = (
    "start it (for example: systemctl start docker), or use --sandbox bubblewrap"
)
_LOOK_HINT = "see whether the engine works: docker info"
_DISK_HINT = (
    "free disk space where Docker keeps its images (docker info: Docker Root Dir), for "
    "example: evolve sandbox prune --images"
)
_boxes = itertools.count()


def _failed(error: Exception) -> tuple[str, str]:
    """Return Docker's message and the next step."""
    said = str(error)[:_ERROR_CHARS]
    full = any(os.strerror(n).lower() in said.lower() for n in (28, 122))
    answered = isinstance(error, docker.errors.APIError)
    hint = _DISK_HINT if full else _LOOK_HINT if answered else _START_HINT
    return f"Docker failed: {said}", hint


def connect(progress: Progress | None = None) -> Any:
    """Connect to the running engine.

    Args:
        progress: Called with a line if the engine is slow; None: silent.

    Returns:
        A client of the SDK.

    Raises:
        SandboxUnavailable: No engine answers within ten seconds.
    """
    with contextlib.ExitStack() as unless_it_answers, _waiting(progress):
        try:
            _try_socket()
            client = docker.from_env(timeout=_ANSWER_S)
            unless_it_answers.callback(client.close)
            client.ping()
        except PermissionError:
            raise SandboxUnavailable(*_not_permitted()) from None
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
            OSError,
        ) as error:
            raise SandboxUnavailable(_no_answer(error), _START_HINT) from None
        unless_it_answers.pop_all()
    client.api.timeout = _WORK_S
    return client


@contextlib.contextmanager
def _waiting(progress: Progress | None) -> Iterator[None]:
    """Context manager: report after a moment that the engine does not answer yet."""
    said = f"sandbox: waiting for the Docker engine at {_address()}"
    timer = threading.Timer(_SLOW_S, progress or (lambda message: None), (said,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _not_permitted() -> tuple[str, str]:
    """Return the missing permission on the engine's socket, and the way out."""
    path = _address().removeprefix("unix://")
    group = "docker"
    with contextlib.suppress(OSError, KeyError):
        group = grp.getgrgid(os.stat(path).st_gid).gr_name
    return (
        f"Docker runs, but this user may not use its socket {path} (Permission denied)",
        f"sudo usermod -aG {group} $USER, then log in again; or use --sandbox bubblewrap",
    )


def _address() -> str:
    """Return the address of the engine, as the SDK finds it."""
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def _try_socket() -> None:
    """Connect once if the engine has a local socket; raise `OSError` if that fails.

    The SDK would leave its own socket open in that case.
    """
    scheme, _, path = _address().partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as tried:
            tried.connect(path)


def _no_answer(error: BaseException) -> str:
    """Return a message with the address and the innermost error of the system."""
    where = _address()
    if isinstance(error.__context__, requests.exceptions.ReadTimeout):
        return f"the Docker engine at {where} does not answer within {_ANSWER_S} s"
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.strerror):
        cause = cause.__cause__ or cause.__context__
    return f"no Docker engine answers at {where} ({cause.strerror if cause else error})"


def prune(client: Any, every: bool = False) -> int:
    """Remove this program's containers with a dead owner.

    Args:
        client: A client of the SDK.
        every: Whether to remove those with a live owner as well.

    Returns:
        Number of removed containers.

    Raises:
        ProviderFault: The engine refuses.
    """
    removed = 0
    for container in own_containers(client):
        if every or _abandoned(container):
            removed += _removed(partial(container.remove, force=True), container.name)
    return removed


def prune_images(client: Any, keep: Iterable[str] = ()) -> int:
    """Remove the images that this program built, except those in use by a container.

    Args:
        client: A client of the SDK.
        keep: Keys of images to keep.

    Returns:
        Number of removed images.

    Raises:
        ProviderFault: The engine refuses.
    """
    removed, kept = 0, set(keep)
    for image in own_images(client):
        for tag in image.tags or [image.id]:  # an older one has lost its tag
            repository, _, key = tag.rpartition(":")
            ours = repository in (REPOSITORY, EARLIER_REPOSITORY) or not image.tags
            if ours and key not in kept:
                removed += _removed(partial(client.images.remove, tag), tag)
    return removed


def own_images(client: Any) -> list[Any]:
    """Return the images that this program built, also those without a tag.

    Args:
        client: A client of the SDK.
    """
    return list(client.images.list(filters={"label": IMAGE_LABEL}))


def own_containers(client: Any) -> list[Any]:
    """Return the containers of this program.

    Args:
        client: A client of the SDK.
    """
    filters = {"label": LABEL}
    return list(client.containers.list(all=True, filters=filters, ignore_removed=True))


def _removed(remove: Callable[[], object], name: str) -> bool:
    try:
        remove()
    except docker.errors.APIError as error:
        if error.status_code in (404, 409):  # gone, being removed, or in use
            return False
        raise ProviderFault(f"can't remove {name}: {error}") from None
    return True


def _owner() -> str:
    """Return a label for this process: place, process id and start time.

    The start time distinguishes processes that get the same id one after the other.
    """
    return f"{_place()}/{os.getpid()}/{start_time(os.getpid())}"


def _place() -> str:
    """Return this boot and process id namespace: process ids are valid only here."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"


def _abandoned(container: Any) -> bool:
    """Return whether a container's owner is gone.

    Nothing is known about an owner elsewhere: its container is abandoned once it no
    longer runs.
    """
    place, _, process = container.labels[LABEL].partition("/")
    pid, _, started = process.partition("/")
    if place != _place():
        return bool(container.status not in ("running", "created"))
    return not pid.isdigit() or start_time(int(pid)) != started


def _check_runtime(client: Any, runtime: str) -> None:
    """Raise `SandboxUnavailable` if the engine does not know an OCI runtime."""
    known = client.info().get("Runtimes") or {}
    if runtime and known and runtime not in known:
        raise SandboxUnavailable(
            f"the Docker engine knows no runtime {runtime!r}: {', '.join(sorted(known))}",
            "install it and name it in /etc/docker/daemon.json, under runtimes",
        )


def _ulimit(name: str, most: int) -> Any:
    return docker.types.Ulimit(name=name, soft=most, hard=most)


def _is_podman(client: Any) -> bool:
    """Return whether podman answers, through its Docker-compatible interface."""
    components = client.version().get("Components") or ()
    return any("podman" in str(part.get("Name", "")).lower() for part in components)


def _profile_file() -> str:
    """Return the path of a file with the profile of system calls, as podman reads it."""
    profile = docker_profile()
    digest = hashlib.sha256(profile.encode()).hexdigest()[:16]
    path = cache_folder() / f"seccomp-{digest}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(profile)
        fresh.replace(path)
    return str(path)


class DockerProvider(Provider):
    """Starts hardened containers: no network, read-only root, few capabilities, limits.

    Args:
        spec: The requirements of the task.
    """

    name = "docker"
    isolates = True
    uids_per_box = 50_000

    def __init__(self, spec: SandboxSpec) -> None:
        super().__init__(spec)
        self._client: Any = None
        self._image = SandboxImage("", "")
        self._podman = False
        self._profile = ""  # of system calls: its JSON, or the path of a file

    async def prepare(self, progress: Progress) -> None:
        """Connect, remove leftovers of dead owners, and build the image on first use.

        Args:
            progress: Called with a line per step.

        Raises:
            SandboxUnavailable: No engine answers, or the image can't be made.
        """
        try:
            await asyncio.to_thread(self._prepare, progress)
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
        ) as error:
            await self.close()
            raise SandboxUnavailable(*_failed(error)) from None
        except OSError as error:
            await self.close()
            raise unwritable(Path(tempfile.gettempdir()), error, "TMPDIR") from None
        except BaseException:
            await self.close()
            raise

    def _prepare(self, progress: Progress) -> None:
        self._client = connect(progress)
        _check_runtime(self._client, self.spec.runtime)
        self._podman = _is_podman(self._client)
        self._profile = _profile_file() if self._podman else docker_profile()
        prune(self._client)
        if self.spec.shares_folder:
            remove_abandoned()
            require_executable(Path(tempfile.gettempdir()), "TMPDIR")
        self._image = self._make_image(progress)

    def _make_image(self, progress: Progress) -> SandboxImage:
        """Return the image that the task needs, made on first use."""
        client, spec = self._client, self.spec
        if spec.image is None:
            return own_image(client, spec.packages, spec.tools, progress, spec.builds)
        return derived_image(client, spec.image, spec.packages, progress, spec.builds)

    async def start(self) -> Box:
        """Start a container and wait until its fork server is ready.

        Returns:
            The box.

        Raises:
            ProviderFault: It did not start.
        """
        folder = SharedFolder.make() if self.spec.shares_folder else None
        try:
            container, sock = await self._in_thread(partial(self._create, folder))
        except ProviderFault:
            if folder is not None:
                folder.remove()
            raise
        box = DockerBox(self, container, *await _attach(sock))
        box.folder = folder
        box.lives = 1 if self.spec.fresh else self.uids_per_box - 1
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                packet = await box.packets.receive()
            if packet is None or packet.kind != b"R":
                raise await box.explain_death()
        except (TimeoutError, SandboxError) as error:
            message = str(error) or f"it was not ready within {START_PATIENCE_S:g} s"
            await box.kill()
            raise ProviderFault(
                f"a sandbox container did not start: {message}"
            ) from None
        return box

    def _create(self, folder: SharedFolder | None) -> tuple[Any, socket.socket]:
        first_uid = _FIRST_UID + next(_boxes) % 1000 * self.uids_per_box
        command = [
            self._image.python,
            f"{INSIDE}/start.py",
            *server_arguments(self.spec, first_uid=first_uid),
            *(["--watch-files"] if self._podman else []),
        ]
        shared = (
            {"volumes": {str(folder.path): {"bind": MOUNT, "mode": "ro"}}}
            if folder
            else {}
        )
        options = self._hardening() | shared
        create = partial(self._client.containers.create, **options)
        try:
            container = create(self._image.tag, command)
        except docker.errors.ImageNotFound:  # removed while the run is at work
            self._image = self._make_image(lambda message: None)
            container = create(self._image.tag, command)
        try:
            sock = self._client.api.attach_socket(
                container.id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
            container.start()
        except (docker.errors.DockerException, requests.exceptions.RequestException):
            _removed(partial(container.remove, force=True), container.name)
            raise
        return container, _own_socket(sock)

    def _hardening(self) -> dict[str, Any]:
        limits = self.spec.limits
        # podman knows no limit on files: there the fork server watches their number
        files = "" if self._podman else f"nr_inodes={limits.files},"
        scratch = f"size={limits.disk_bytes},{files}mode=1777,nosuid,nodev,exec"
        return {
            "labels": {LABEL: _owner()},
            "environment": server_environment(PACKAGES),
            "network_mode": "none",
            "read_only": True,
            "user": "0:0",
            "working_dir": "/tmp",
            "cap_drop": ["ALL"],
            "cap_add": _CAPABILITIES,
            "security_opt": ["no-new-privileges", f"seccomp={self._profile}"],
            "ipc_mode": "private",
            "tmpfs": {"/tmp": scratch, "/dev/shm": scratch, **self._closed()},
            "mem_limit": limits.memory_bytes + limits.disk_bytes,
            "memswap_limit": limits.memory_bytes + limits.disk_bytes,
            "pids_limit": limits.processes,
            "nano_cpus": int(limits.cpus * 1e9),
            "ulimits": [_ulimit("nofile", _FILES), *self._process_limit()],
            "log_config": {"type": "none"},
            "stdin_open": True,
            "auto_remove": True,
            "entrypoint": [],
            **({"runtime": self.spec.runtime} if self.spec.runtime else {}),
        }

    def _closed(self) -> dict[str, str]:
        """Return the folders that podman would make writable on a read-only root."""
        return dict.fromkeys(("/run", "/var/tmp"), "ro,size=4k") if self._podman else {}

    def _process_limit(self) -> list[Any]:
        """Return podman's limit on processes of a user, which must not exceed our own.

        The limit of the container counts; this one would refuse the start.
        """
        most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        most = _PODMAN_PROCESSES if most < 0 else min(most, _PODMAN_PROCESSES)
        return [_ulimit("nproc", most)] if self._podman else []

    async def remove(self, container: Any) -> None:
        """Kill and remove a container; harmless when it is gone.

        Args:
            container: A container of the SDK.
        """
        try:
            remove = partial(container.remove, force=True)
            await self._in_thread(lambda: _removed(remove, "a container"))
        except ProviderFault:
            # no daemon: the container ends with the socket, `prune` does the rest
            return

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(work)
        except docker.errors.NotFound as error:
            raise ProviderFault(f"Docker: {error.explanation}", _LOOK_HINT) from None
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
            OSError,
        ) as error:
            raise ProviderFault(*_failed(error)) from None
        except SandboxUnavailable as error:  # its image can't be made again
            raise ProviderFault(error.message, error.hint) from None

    async def was_out_of_memory(self, container: Any) -> bool:
        """Return whether the kernel killed in this container for lack of memory.

        This also works after the container is gone. A container is not used again after
        such a kill, so it concerns its last candidate.

        Args:
            container: A container of the SDK.

        Raises:
            ProviderFault: The engine does not answer.
        """

        def look() -> bool:
            events = self._client.events(
                since=int(time.time() - START_PATIENCE_S),
                until=time.time() + 0.2,
                decode=True,
                filters={
                    "type": "container",
                    "event": "oom",
                    "container": container.id,
                },
            )
            with contextlib.closing(events):
                return any(True for _ in events)

        return await self._in_thread(look)

    async def close(self) -> None:
        """Close the connection to the daemon."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)


class DockerBox(Box):
    """A running container and its attached streams.

    Args:
        provider: The provider that started it.
        container: A container of the SDK.
        output: The container's output.
        writer: The container's input.
    """

    def __init__(
        self,
        provider: DockerProvider,
        container: Any,
        output: "_Demultiplexed",
        writer: asyncio.StreamWriter,
    ) -> None:
        self._provider, self._container, self._output = provider, container, output
        self.packets = PacketStream(output, writer)

    async def kill(self) -> None:
        """Remove the container, then the shared directory."""
        self.packets.close()
        await self._provider.remove(self._container)
        if self.folder is not None:
            self.folder.remove()

    async def explain_death(self) -> SandboxError:
        """Return a `CandidateFault` after an out-of-memory kill, else a `ProviderFault`."""
        if await self._provider.was_out_of_memory(self._container):
            return CandidateFault(Reason.MEMORY, "killed: out of memory")
        detail = self._output.errors.decode(errors="replace").strip()[-500:]
        return ProviderFault(f"the container is gone{': ' + detail if detail else ''}")


def _own_socket(attached: Any) -> socket.socket:
    """Return a duplicate of the connection, without the SDK's response around it."""
    theirs = attached._sock
    own: socket.socket = theirs.dup()
    attached._response.close()
    attached.close()
    theirs.close()
    return own


async def _attach(sock: socket.socket) -> tuple["_Demultiplexed", asyncio.StreamWriter]:
    sock.setblocking(False)
    raw, writer = await asyncio.open_unix_connection(sock=sock)
    return _Demultiplexed(raw), writer


class _Demultiplexed:
    """The server's standard output, extracted from Docker's framing while it is read.

    Data is fetched only on demand, so that a candidate can't fill the engine's memory.
    The tail of standard error is kept in `errors`.
    """

    def __init__(self, raw: asyncio.StreamReader) -> None:
        self._raw = raw
        self._stream = self._left = 0  # of the current chunk
        self._data = bytearray()
        self.errors = bytearray()

    async def readexactly(self, n: int, /) -> bytes:
        while len(self._data) < n:
            await self._read_more()
        piece = bytes(self._data[:n])
        del self._data[:n]
        return piece

    async def _read_more(self) -> None:
        if not self._left:
            self._stream, self._left = _STREAM.unpack(
                await self._raw.readexactly(_STREAM.size)
            )
        data = await self._raw.read(min(self._left, _READ_BYTES))
        if not data:
            raise asyncio.IncompleteReadError(b"", None)
        self._left -= len(data)
        if self._stream == 1:
            self._data += data
        else:
            self.errors += data
            del self.errors[:-_ERROR_TAIL_BYTES]

    def at_eof(self) -> bool:
        return self._raw.at_eof() and not self._data

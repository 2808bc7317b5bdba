"""Images of Docker sandboxes: made from this machine's Python, or from a task's image.

Building needs no network inside Docker: packages are resolved on the host, for the
image's Python, and copied in.
"""

import hashlib
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import docker.errors

from evolve.sandbox.cache import only_one
from evolve.sandbox.errors import SandboxUnavailable
from evolve.sandbox.pip import install_packages
from evolve.sandbox.provider import ImageBuild, Progress
from evolve.sandbox.rootfs import (
    INSIDE,
    PACKAGES,
    build_rootfs,
    copy_inside,
    interpreter,
    rootfs_key,
    write_tar,
)

IMAGE_LABEL = "evolve.sandbox.image"
REPOSITORY = "localhost/evolve-sandbox"  # a full name, as podman needs
EARLIER_REPOSITORY = "evolve-sandbox"  # of images of earlier versions, for `prune`
_BUILD_BYTES = 4 << 30  # memory of the steps of a task's Dockerfile
_ASK_PYTHON = (
    "import json, platform, sys; print(json.dumps([sys.executable, "
    "'%d.%d' % sys.version_info[:2], platform.machine(), platform.libc_ver()[0]]))"
)


class SandboxImage(NamedTuple):
    """The image that a container starts from, and the path of its interpreter."""

    tag: str
    python: str


class ImagePython(NamedTuple):
    """The Python of an image.

    Attributes:
        path: Its interpreter.
        version: Like "3.12".
        machine: Like "x86_64".
        libc: "glibc", or "" for another one.
    """

    path: str
    version: str
    machine: str
    libc: str


def own_image(
    client: Any,
    packages: tuple[str, ...],
    tools: tuple[str, ...],
    progress: Progress,
    builds: tuple[str, ...] = (),
) -> SandboxImage:
    """Return the image made from this machine's Python, imported on first use.

    Args:
        client: A client of the SDK.
        packages: pip requirements.
        tools: Commands of this machine, such as gcc.
        progress: Called with a line per step.
        builds: Packages that are built from source.

    Returns:
        The image.

    Raises:
        SandboxUnavailable: A package or tool can't be had, or this Python can't be
            copied.
    """
    key = rootfs_key(packages, tools, builds)
    tag = f"{REPOSITORY}:{key}"
    if not _exists(client, tag):
        root = build_rootfs(packages, progress, tools, builds)
        with only_one(root):
            if not _exists(client, tag):
                progress("sandbox: importing the image")
                _import(client, root, tag)
    return SandboxImage(tag, interpreter())


def _import(client: Any, root: Path, tag: str) -> None:
    """Import a root file system as an image, through a pipe: it is kept in no file."""
    receiving, sending = os.pipe()
    with ThreadPoolExecutor(1) as writer, open(receiving, "rb") as tar:
        written = writer.submit(_write, root, sending)
        try:
            client.api.import_image_from_stream(
                iter(lambda: tar.read(1 << 20), b""),
                repository=tag,
                changes=[f"LABEL {IMAGE_LABEL}=1"],
            )
        finally:
            tar.close()  # ends the writer
    try:
        written.result()
    except OSError:  # the image may be incomplete
        with suppress(docker.errors.APIError):
            client.images.remove(tag)
        raise


def _write(root: Path, descriptor: int) -> None:
    with open(descriptor, "wb") as pipe:
        write_tar(root, pipe)


def derived_image(
    client: Any,
    image: str | ImageBuild,
    packages: tuple[str, ...],
    progress: Progress,
    builds: tuple[str, ...] = (),
) -> SandboxImage:
    """Return a task's image with the fork server and packages, built on first use.

    Args:
        client: A client of the SDK.
        image: Name of an image, or how to build it.
        packages: pip requirements.
        progress: Called with a line per step.
        builds: Packages that are built from source.

    Returns:
        The image.

    Raises:
        SandboxUnavailable: The image can't be pulled or built, or has no Python 3.
    """
    base = image if isinstance(image, str) else _built(client, image, progress)
    base_id = _pulled(client, base, progress).id
    python = _python_of(client, base)
    contents = rootfs_key(packages, builds=builds)
    key = hashlib.sha256(f"{base_id}:{contents}".encode()).hexdigest()[:16]
    tag = f"{REPOSITORY}:on-{key}"
    if not _exists(client, tag):
        progress(
            f"sandbox: adding the fork server and {len(packages)} packages to {base}"
        )
        with tempfile.TemporaryDirectory() as folder:
            context = _write_context(Path(folder), base, packages, builds, python)
            client.images.build(fileobj=context, custom_context=True, tag=tag, rm=True)
    return SandboxImage(tag, python.path)


def _exists(client: Any, tag: str) -> bool:
    try:
        client.images.get(tag)
    except docker.errors.ImageNotFound:
        return False
    return True


def _built(client: Any, build: ImageBuild, progress: Progress) -> str:
    """Build a task's Dockerfile, without the network unless the user allowed it.

    Returns:
        The tag of the image, derived from the path of the file.

    Raises:
        SandboxUnavailable: With Docker's message.
    """
    dockerfile = build.dockerfile
    key = hashlib.sha256(str(dockerfile).encode()).hexdigest()[:16]
    tag = f"{REPOSITORY}:file-{key}"
    progress(f"sandbox: building {dockerfile}")
    problem: object
    try:
        told = list(
            client.api.build(
                fileobj=_build_context(build),
                custom_context=True,
                tag=tag,
                rm=True,
                forcerm=True,
                decode=True,
                network_mode=None if build.network else "none",
                container_limits={"memory": _BUILD_BYTES, "memswap": _BUILD_BYTES},
                # the list reads the reply to its end, which frees the connection
                labels={IMAGE_LABEL: "1"},
            )
        )
        problem = next((line["error"] for line in told if "error" in line), None)
    except (docker.errors.APIError, TypeError) as error:
        problem = error
    if problem is not None:
        raise SandboxUnavailable(
            f"{dockerfile} can't be built: {problem}",
            "its steps see the files of environment.image_files in task.toml and "
            + (
                "the network"
                if build.network
                else "no network: environment.image_network"
            ),
        )
    return tag


def _build_context(build: ImageBuild) -> BytesIO:
    """Return a tar with the Dockerfile and the files that the task names for it."""
    folder, context = build.dockerfile.parent, BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(build.dockerfile, "Dockerfile")
        for name in build.files:
            tar.add(folder / name, name)
    context.seek(0)
    return context


def _pulled(client: Any, base: str, progress: Progress) -> Any:
    if not _exists(client, base):
        progress(f"sandbox: pulling {base}")
        try:
            client.images.pull(
                *base.rsplit(":", 1) if ":" in base.rsplit("/", 1)[-1] else (base,)
            )
        except docker.errors.APIError as error:
            raise SandboxUnavailable(
                f"the image {base} can't be pulled: {error.explanation}",
                f"docker pull {base}, or name another image",
            ) from None
    return client.images.get(base)


def _python_of(client: Any, base: str) -> ImagePython:
    """Return the Python of an image by running it."""
    try:
        said = client.containers.run(
            base,
            ["python3", "-c", _ASK_PYTHON],
            remove=True,
            entrypoint=[],
            network_mode="none",
            user="65534:65534",
            cap_drop=["ALL"],
            mem_limit="512m",
            pids_limit=64,
        )
        return ImagePython(*json.loads(said))
    except (docker.errors.ContainerError, docker.errors.APIError, ValueError) as error:
        raise SandboxUnavailable(
            f"the image {base} has no working python3: {error}",
            "the fork server needs Python 3.9 or newer in the image",
        ) from None


def _write_context(
    folder: Path,
    base: str,
    packages: Sequence[str],
    builds: Sequence[str],
    python: ImagePython,
) -> BytesIO:
    """Return a build context of COPY lines only: its build runs and fetches nothing."""
    (folder / "Dockerfile").write_text(
        f"FROM {base}\nLABEL {IMAGE_LABEL}=1\nCOPY root/ /\n"
    )
    root = folder / "root"
    copy_inside(root / INSIDE.lstrip("/"))
    target = root / PACKAGES.lstrip("/")
    target.mkdir(parents=True)
    if packages:
        install_packages(packages, target, _pip_target(python), builds)
    context = BytesIO()
    write_tar(folder, context)
    context.seek(0)
    return context


def _pip_target(python: ImagePython) -> list[str]:
    """Return pip's options for another Python's wheels; none for the same version."""
    if python.version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return []
    newest = range(40, 16, -1)
    platforms = [f"manylinux_2_{minor}_{python.machine}" for minor in newest]
    platforms += [f"manylinux2014_{python.machine}"]
    if python.libc != "glibc":
        platforms = [f"musllinux_1_{minor}_{python.machine}" for minor in (2, 1)]
    options = ["--python-version", python.version, "--implementation", "cp"]
    for name in platforms:
        options += ["--platform", name]
    return options

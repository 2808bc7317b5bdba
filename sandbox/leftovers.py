"""All that this program makes on a machine outside of runs: to be listed and removed."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from evolve.sandbox import cache
from evolve.sandbox.errors import SandboxError
from evolve.sandbox.folder import remove_abandoned

PLURAL = {
    "container": "containers",
    "image": "images",
    "cache": "entries of the cache",
    "temporary": "temporary folders",
}
_TEMPORARY = "evolve-*"
_ABANDONED_S = 24 * 3600.0  # of temporary folders: time without a change


class Made(NamedTuple):
    """Something that this program made.

    Attributes:
        kind: A key of `PLURAL`.
        name: Its name or path.
        size_bytes: Space that it takes; of images with shared layers.
    """

    kind: str
    name: str
    size_bytes: int


def everything() -> tuple[list[Made], list[str]]:
    """Return all products of this program on this machine.

    Returns:
        The things, and why others can't be listed.
    """
    found, problems = [], []
    for look in (_in_docker, _in_cache, _temporary):
        try:
            found += look()
        except SandboxError as error:
            problems.append(error.message)
    return found, problems


def _in_docker() -> list[Made]:
    from evolve.sandbox import docker

    with closing(docker.connect()) as client:
        containers = [
            Made("container", each.name, 0) for each in docker.own_containers(client)
        ]
        return containers + [
            Made("image", ", ".join(each.tags) or each.short_id, each.attrs["Size"])
            for each in docker.own_images(client)
        ]


def _in_cache() -> list[Made]:
    return [Made("cache", str(e.path), e.size_bytes) for e in cache.entries()]


def _temporary() -> list[Made]:
    found = list(_temporary_folders())
    name = f"{len(found)} folders {tempfile.gettempdir()}/{_TEMPORARY}"
    return [Made("temporary", name, sum(map(cache.size_of, found)))] if found else []


def _temporary_folders() -> Iterator[Path]:
    for path in Path(tempfile.gettempdir()).glob(_TEMPORARY):
        if path.is_dir() and path.lstat().st_uid == os.geteuid():
            yield path


def remove(kinds: Iterable[str]) -> tuple[dict[str, int], list[str]]:
    """Remove products of this program, of some kinds, unless they are in use.

    Args:
        kinds: Keys of `PLURAL`.

    Returns:
        Kind -> number of removed things, and why others can't be removed.
    """
    ways: dict[str, Callable[[], int]] = {
        "container": _remove_containers,
        "image": _remove_images,
        "cache": _remove_cache,
        "temporary": _remove_temporary,
    }
    removed, problems = {}, []
    for kind in kinds:
        try:
            removed[kind] = ways[kind]()
        except SandboxError as error:
            problems.append(f"{PLURAL[kind]}: {error.message}")
    return removed, problems


def _with_docker(work: Callable[[Any], int]) -> int:
    from evolve.sandbox import docker

    with closing(docker.connect()) as client:
        return work(client)


def _remove_containers() -> int:
    from evolve.sandbox import docker

    return _with_docker(docker.prune)


def _remove_images() -> int:
    from evolve.sandbox import docker

    return _with_docker(docker.prune_images)


def _remove_cache() -> int:
    found = cache.entries()
    for entry in found:
        cache.remove(entry)
    return len(found)


def _remove_temporary() -> int:
    removed = remove_abandoned()
    for path in _temporary_folders():
        if time.time() - path.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed

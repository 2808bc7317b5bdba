"""Access control: hosts, origins, the token, and security headers of answers."""

import hmac
import ipaddress
import socket
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evolve.text import one_line

COOKIE = "evolve-token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_PATH = 2000
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FORBIDS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address.

    Args:
        host: name or IP address

    Returns:
        False for names other than localhost.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Rules:
    """The address that a server is bound to, and its access rules.

    Attributes:
        host: name or IP address
        port: TCP port
        token: required of every client; None for none
        names: further host names of the server, such as that of a reverse proxy
        prefix: path below which a reverse proxy shows the server; empty for none
    """

    host: str
    port: int
    token: str | None = None
    names: tuple[str, ...] = ()
    prefix: str = ""

    def knows_host(self, header: str) -> bool:
        """Check the Host header, against DNS rebinding.

        A page from elsewhere under a name that resolves to this server is refused.

        Args:
            header: value of the header

        Returns:
            True for names and addresses of this server, with its port or none, and for
            `names` with any port, as a proxy has another one.
        """
        name, port = split_host(header)
        if name in self.names and port != -1:
            return True
        if port not in (None, self.port):
            return False
        known = {*LOOPBACK}
        if not is_loopback(self.host):
            known |= {self.host, socket.gethostname(), socket.getfqdn()}
        return name in known or (not is_loopback(self.host) and _is_address(name))

    def knows_token(self, shown: str) -> bool:
        """Compare a token in constant time.

        Args:
            shown: token of the request

        Returns:
            True if it is right, or none is required.
        """
        return self.token is None or hmac.compare_digest(
            shown.encode(), self.token.encode()
        )


class Guard:
    """Middleware that checks every request and adds security headers to every answer.

    Args:
        app: the pages
        rules: access rules
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request or refuse it; other types of connection pass unchecked."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in FORBIDS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        scope = self._below_prefix(scope)
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, guarded)

    def _below_prefix(self, scope: Scope) -> Scope:
        """Remove the prefix from a path, as a proxy may pass it on or remove it itself."""
        prefix, path = self._rules.prefix, str(scope["path"])
        if not prefix or not f"{path}/".startswith(f"{prefix}/"):
            return scope
        return {**scope, "path": path.removeprefix(prefix) or "/"}

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("this server is read-only\n", 405)
        if (
            len(scope.get("raw_path") or b"") > MOST_PATH
            or len(scope["query_string"]) > MOST_PATH
        ):
            return PlainTextResponse("the address is too long\n", 414)
        if len(headers.getlist("host")) != 1 or not self._rules.knows_host(
            headers["host"]
        ):
            name, _ = split_host(headers.get("host", ""))
            return PlainTextResponse(
                f"unknown host name of this server: {one_line(name, 80)}\n"
                "for a proxy, start it with: evolve serve --name THAT_NAME\n",
                421,
            )
        if _from_elsewhere(headers):
            return PlainTextResponse("requests from other sites are refused\n", 403)
        return self._ask_for_token(scope, headers)

    def _ask_for_token(self, scope: Scope, headers: Headers) -> Response | None:
        """Move a token from the address into a cookie; refuse requests without one."""
        if self._rules.token is None:
            return None
        pairs = parse_qsl(scope["query_string"].decode("latin-1"))
        shown = dict(pairs).get("token")
        if shown is not None and self._rules.knows_token(shown):
            rest = urlencode([pair for pair in pairs if pair[0] != "token"])
            path = "/" + scope["path"].lstrip("/\\")
            path = self._rules.prefix + path
            answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
            name = f"{COOKIE}-{self._rules.port}"  # cookies of all ports are shared
            answer.set_cookie(name, shown, httponly=True, samesite="strict", path="/")
            return answer
        if self._rules.knows_token(_cookie(headers, self._rules.port)):
            return None
        return PlainTextResponse(
            "open the printed address: it contains the token\n", 401
        )


def split_host(header: str) -> tuple[str, int | None]:
    """Split a Host header: "[::1]:80" gives ("::1", 80).

    Args:
        header: value of the header

    Returns:
        Name in lower case, and port: None if it is missing, -1 if it is invalid.
    """
    name, port = header, ""
    if header.startswith("["):
        name, end, rest = header[1:].partition("]")
        port = rest.removeprefix(":") if end and rest[:1] in ("", ":") else "none"
    elif header.count(":") == 1:
        name, _, port = header.partition(":")
    if not port:
        return name.lower(), None
    return name.lower(), int(port) if port.isdigit() and len(port) < 6 else -1


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _from_elsewhere(headers: Headers) -> bool:
    """Return whether another site sends the request; it may only link here."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers["host"]:
        return True
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
    return site in ("cross-site", "same-site") and mode != "navigate"


def _cookie(headers: Headers, port: int) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(f"{COOKIE}-{port}")
    except CookieError:
        return ""
    return found.value if found else ""

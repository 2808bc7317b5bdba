"""What a server of runs refuses: other hosts, other pages, missing tokens, paths out of its folder."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from evolve.view.web.guard import Rules, split_host
from evolve.view.web.templates import picture
from tests.made_runs import Made, make_run
from tests.serving import serving

SECRET = "the-secret-of-another-folder"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


def ask(address: str, path: str, method: str = "GET", **headers: str) -> Answer:
    """As it stands: no client tidies the path or the headers."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in (
            {"Host": parts.netloc}
            | {n.replace("_", "-"): v for n, v in headers.items()}
        ).items():
            connection.putheader(name, value)
        connection.endheaders()
        reply = connection.getresponse()
        body = (
            b""
            if reply.headers.get("content-type", "").startswith("text/event")
            else reply.read()
        )
        return Answer(
            reply.status,
            {k.lower(): v for k, v in reply.getheaders()},
            body.decode(errors="replace"),
        )
    finally:
        connection.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guarded")
    make_run(folder / "runs", "one", Made(12, hostile=True))
    make_run(folder / "runs", "two", Made(12))
    make_run(folder / "elsewhere", "hidden", Made(3))
    (folder / "secret.txt").write_text(SECRET)
    (folder / "runs" / "secret.txt").write_text(SECRET)
    return folder / "runs"


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    with serving(runs) as found:
        yield found


def test_it_answers_and_forbids(address: str) -> None:
    answer = ask(address, "/run/one")
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert (
        "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert (
        "server" not in answer.headers
        and "access-control-allow-origin" not in answer.headers
    )
    assert "<script>window.hacked" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/run/../secret.txt",
        "/run/..%2f..%2fsecret.txt",
        "/run/%2e%2e/%2e%2e/secret.txt",
        "/static/../../../secret.txt",
        "/static/..%2f..%2f..%2fpages.py",
        "/static/%2e%2e/pages.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "//etc/passwd",
        "/run/secret.txt",
        "/run/..%2felsewhere%2fhidden",
        "/run/%2e%2e%2felsewhere%2fhidden/tree.json",
        "/run/one%2f..%2ftwo",
        "/run/one/..%2f..%2fsecret.txt",
        "/run/one/variant/..%2f..%2f..%2fsecret.txt",
        "/run/one/secret.json",
        "/run/one/variant/%00",
        "/run/./variant/best",
        "/run/last",
        "/run/on",
        "/static/vendor/",
        "/static/",
        "/compare?run=..%2felsewhere%2fhidden",
    ],
)
def test_no_path_leaves_the_folder(address: str, path: str) -> None:
    answer = ask(address, path)
    assert answer.status == 404, path
    assert (
        SECRET not in answer.text
        and "root:" not in answer.text
        and "def " not in answer.text
    )
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "127.0.0.1:1",
        "10.0.0.1:{port}",
        "[::1]evil.example",
        "",
        "localhost:{port}@evil.example",
        "[::1",
        "127.0.0.1:{port}:{port}",
        "localhost:0x50",
    ],
)
def test_a_host_of_another_name_is_refused(address: str, host: str) -> None:
    port = urlsplit(address).port
    assert ask(address, "/", Host=host.format(port=port)).status in (400, 421)


def test_hosts_of_this_machine_are_known(address: str) -> None:
    port = urlsplit(address).port
    for host in (
        f"127.0.0.1:{port}",
        f"localhost:{port}",
        f"LOCALHOST:{port}",
        f"[::1]:{port}",
    ):
        assert ask(address, "/", Host=host).status == 200


def test_two_hosts_are_none() -> None:
    assert split_host("[::1]:80") == ("::1", 80)
    assert split_host("a:b") == ("a", -1)
    assert not Rules("127.0.0.1", 80).knows_host("192.168.0.7:80")
    assert Rules("0.0.0.0", 80, "t").knows_host("192.168.0.7:80")
    assert not Rules("0.0.0.0", 80, "t").knows_host("evil.example:80")
    assert Rules("0.0.0.0", 80, "t", ("box.example",)).knows_host("box.example:80")


def test_pages_of_elsewhere_can_not_ask(address: str) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
    ):
        for path in ("/run/one/tree.json", "/run/one/live", "/static/app.css"):
            assert ask(address, path, **headers).status == 403
    assert ask(address, "/", Origin=address.rstrip("/")).status == 200
    assert (
        ask(address, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status
        == 200
    )


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]
)
def test_nothing_can_be_changed(address: str, method: str) -> None:
    assert ask(address, "/run/one", method).status == 405


def test_ids_and_addresses_of_any_size(address: str) -> None:
    for path in (
        "/run/one/variant/" + "a" * 1900,
        "/run/" + "a" * 1900,
        "/run/one/variant/" + "%f0" * 400,
        "/run/one/diff?old=" + "a" * 1900 + "&new=b",
        "/run/one/diff",
        "/run/one/live?after=-1",
        "/run/one/live?after=" + "9" * 40,
        "/run/one/live?after=%D9%A3x",
    ):
        assert ask(address, path).status == 404, path[:60]
    assert ask(address, "/run/one/variant/" + "a" * 10_000).status == 414
    assert ask(address, "/?" + "a" * 10_000).status == 414
    with contextlib.suppress(ConnectionError):  # cut off before it has said all of it
        assert ask(address, "/" + "a" * 200_000).status in (400, 414)
    assert ask(address, "/run/one").status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_everybody_needs_the_token(runs: Path, host: str) -> None:
    """Also on loopback: other users of the machine could connect."""
    with serving(runs, "--host", host) as address:
        token = address.partition("token=")[2]
        assert len(token) >= 32
        local = f"http://127.0.0.1:{urlsplit(address).port}"
        for path in (
            "/",
            "/run/one",
            "/run/one/tree.json",
            "/run/one/live",
            "/static/app.css",
            "/?token=",
            "/?token=wrong",
            f"/?token={token[:-1]}",
        ):
            answer = ask(local, path)
            assert answer.status == 401 and "one" not in answer.text.replace(
                "token", ""
            )
        first = ask(local, f"/run/one?token={token}&by=x")
        assert first.status == 303 and first.headers["location"] == "/run/one?by=x"
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert ask(local, "/run/one", Cookie=cookie.partition(";")[0]).status == 200
        assert (
            ask(
                local, "/run/one", Cookie=f"evolve-token-{urlsplit(address).port}=wrong"
            ).status
            == 401
        )
        away = ask(local, f"//evil.example/?token={token}")
        assert away.status == 303 and away.headers["location"] == "/evil.example/"


def test_a_single_run_is_all_there_is(runs: Path) -> None:
    with serving(runs / "one") as address:
        root = f"http://127.0.0.1:{urlsplit(address).port}"
        assert ask(root, "/run/one").status == 200
        assert ask(root, "/run/two").status == 404
        assert "two" not in ask(root, "/").text


def test_only_pictures_are_pictures() -> None:
    assert picture("data:image/png;base64,aGVsbG8=") is not None
    for value in (
        "data:text/html;base64,aGVsbG8=",
        "javascript:alert(1)",
        'data:image/png;base64,"x',
        "data:image/svg+xml,<svg onload=alert(1)>",
        "http://evil.example/x.png",
        7,
        None,
        'data:image/png;base64,aGVsbG8=" onerror="x',
        "data:image/png;base64,a",
    ):
        assert picture(value) is None

"""Connections to a server of one's own: kept between calls, but not until the server gives them up."""

from __future__ import annotations

import asyncio

import pytest

from evolve.models import ModelError
from evolve.models.compatible import KEPT_S, CompatibleServer
from evolve.models.endpoints import ENDPOINTS
from evolve.models.names import parse_model

OWN = ENDPOINTS["hosted_vllm"]
BODY = b'{"choices": []}'


def test_an_answer_that_is_no_utf_8_is_a_fault_of_the_server() -> None:
    page = "<h1>Fehler: Gateway nicht verfügbar</h1>".encode("latin-1")

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (len(page), page)
        )
        await writer.drain()
        writer.close()

    async def work() -> None:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        server = CompatibleServer(f"http://127.0.0.1:{port}/v1", OWN)
        try:
            await server.post(
                "chat/completions", parse_model("hosted_vllm/x"), {"messages": []}
            )
        finally:
            await server.close()
            listening.close()

    with pytest.raises(ModelError, match="Gateway nicht verf"):
        asyncio.run(work())


def test_an_idle_connection_is_given_up_before_the_server_closes_it() -> None:
    """uvicorn closes it after 5 s; a request that is being sent then may have been carried out."""
    connections = 0

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal connections
        connections += 1
        length = 0
        while head := await reader.readline():
            if head.lower().startswith(b"content-length:"):
                length = int(head.split(b":")[1])
            if head == b"\r\n":
                await reader.readexactly(length)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(BODY), BODY)
                )
        writer.close()

    async def work() -> list[int]:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        server, seen = CompatibleServer(f"http://127.0.0.1:{port}/v1", OWN), []
        for pause_s in (0.0, 0.0, KEPT_S + 0.5):
            await asyncio.sleep(pause_s)
            await server.post(
                "chat/completions", parse_model("hosted_vllm/x"), {"messages": []}
            )
            seen.append(connections)
        await server.close()
        listening.close()
        return seen

    assert KEPT_S < 5.0
    assert asyncio.run(work()) == [1, 1, 2]

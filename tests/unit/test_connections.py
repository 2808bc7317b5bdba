"""Connections to a server of one's own: kept between calls, but not until the server gives them up."""

from __future__ import annotations

import asyncio

from evolve.llm.compatible import KEPT_S, CompatibleServer
from evolve.llm.names import parse_model

BODY = b'{"choices": []}'


def test_an_idle_connection_is_given_up_before_the_server_closes_it() -> None:
    """uvicorn closes it after 5 s; a request that is being sent then may have been carried out."""
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        length = 0
        while head := await reader.readline():
            if head.lower().startswith(b"content-length:"):
                length = int(head.split(b":")[1])
            if head == b"\r\n":
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY))
        writer.close()

    async def work() -> list[int]:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        server, seen = CompatibleServer(f"http://127.0.0.1:{port}/v1"), []
        for pause_s in (0.0, 0.0, KEPT_S + 0.5):
            await asyncio.sleep(pause_s)
            await server.ask(parse_model("hosted_vllm/x"), {"messages": []})
            seen.append(connections)
        await server.close()
        listening.close()
        return seen

    assert KEPT_S < 5.0
    assert asyncio.run(work()) == [1, 1, 2]

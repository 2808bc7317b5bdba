"""The HTTP side of the agents' proxy: a process of its own, without keys, for one box at a time.

Whatever an agent sends is read here, under limits: a certain number of connections (further
ones wait in the kernel), four bodies at a time, and time to send each. The engine gets one valid
request after another, as roles and texts without JSON. See `proxy.py` for the split.
"""

import asyncio
import contextlib
import json
import os
import resource
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11

from evolve.sandbox.inside import wire

CONNECTIONS, BODIES = 64, 4  # of one box: open, and being read into memory
MAX_BODY, MAX_HEADERS, MAX_MESSAGES = 4 << 20, 16 << 10, 2000
REQUEST_S = 60.0  # for a whole request from its first byte, and for taking an answer
DISCARD_S = 5.0  # of what follows a refused request
DELAY_S, LONGEST_DELAY_S = 0.01, 1.0  # added to the delay by each refusal; limit
MEMORY_BYTES, DESCRIPTORS = 1 << 30, 256
_CHUNK = 1 << 16
ROLES = {"s": "system", "u": "user", "a": "assistant"}
_LETTERS = {role: letter for letter, role in ROLES.items()}
_MODELS = {"object": "list", "data": [{"id": "proxy", "object": "model"}]}


class Refusal(Exception):
    """An error that an agent gets instead of an answer.

    Args:
        status: HTTP status
        code: machine-readable cause
        message: for the agent
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    @property
    def body(self) -> bytes:
        """The response in the form of OpenAI's errors."""
        return _json(
            {"error": {"message": self.message, "type": self.code, "code": self.code}}
        )


@dataclass(frozen=True)
class Asked:
    """A valid request of an agent.

    Attributes:
        messages: pairs of role and text
        reply_tokens: wanted limit of the reply; None: that of the run
        temperature: None for the run's schedule
    """

    messages: tuple[tuple[str, str], ...]
    reply_tokens: int | None
    temperature: float | None

    def packed(self, number: int) -> bytes:
        """Return the frame for the engine.

        Args:
            number: of the request

        Returns:
            Numbers in the header, all texts as UTF-8 in the payload.
        """
        texts = [text.encode(errors="replace") for _, text in self.messages]
        header = {
            "op": "ask",
            "number": number,
            "roles": "".join(_LETTERS[role] for role, _ in self.messages),
            "sizes": [len(text) for text in texts],
            "reply_tokens": self.reply_tokens,
            "temperature": self.temperature,
        }
        return wire.frame(header, b"".join(texts))


def read_request(body: bytes) -> Asked:
    """Read the body of a request.

    Args:
        body: claimed to be JSON

    Returns:
        The request.

    Raises:
        Refusal: it is not valid, or asks for something that is not offered
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "invalid_request", "the body is not JSON") from None
    if not isinstance(asked, dict):
        raise Refusal(400, "invalid_request", "the body is not a JSON object")
    for key in ("stream", "tools", "functions"):
        if asked.get(key):
            raise Refusal(
                400, "unsupported", f"{key} is not offered here: ask for plain text"
            )
    wanted = asked.get("max_tokens")
    tokens = min(wanted, 1 << 31) if type(wanted) is int and wanted > 0 else None
    temperature = _temperature(asked.get("temperature"))
    return Asked(_messages(asked.get("messages")), tokens, temperature)


def _temperature(given: Any) -> float | None:
    """Return a valid temperature; None for the run's schedule."""
    plain = isinstance(given, (int, float)) and not isinstance(given, bool)
    return float(given) if plain and 0 <= given <= 2 else None


def _messages(given: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, list) or not 0 < len(given) <= MAX_MESSAGES:
        raise Refusal(
            400, "invalid_request", f"messages must be a list of 1 to {MAX_MESSAGES}"
        )
    found = []
    for message in given:
        role = message.get("role") if isinstance(message, dict) else None
        if (
            not isinstance(role, str)
            or role not in _LETTERS
            or not isinstance(message.get("content"), str)
        ):
            raise Refusal(
                400,
                "invalid_request",
                f"a message needs a role of {', '.join(_LETTERS)} and a text as content",
            )
        found.append((role, message["content"]))
    return tuple(found)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


class EngineLink:
    """The questions of one box to the engine, one at a time.

    Args:
        writer: to the engine
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer, self._number = writer, 0
        self._turn, self._bodies = asyncio.Lock(), asyncio.Semaphore(BODIES)
        self._asking: set[asyncio.Task[tuple[int, bytes]]] = set()
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self._refusals = 0

    async def ask(self, body: Callable[[], Awaitable[bytes]]) -> tuple[int, bytes]:
        """Answer a request, after a growing delay if it is refused.

        A body counts as one in memory until it is answered, even if the agent hangs up.

        Args:
            body: reads the body

        Returns:
            HTTP status and body of the response.
        """
        await self._bodies.acquire()
        try:
            asking = asyncio.create_task(self._answer(await body()))
        except BaseException:
            self._bodies.release()
            raise
        self._asking.add(asking)
        asking.add_done_callback(self._done)
        return await asyncio.shield(asking)

    def _done(self, asking: asyncio.Task[tuple[int, bytes]]) -> None:
        self._asking.discard(asking)
        self._bodies.release()

    async def close(self) -> None:
        """Give up all questions; the engine settles what it works on."""
        for asking in self._asking:
            asking.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _answer(self, body: bytes) -> tuple[int, bytes]:
        async with self._turn:
            try:
                status, answer = await self._exchange(read_request(body))
            except Refusal as why:
                status, answer = why.status, why.body
            if status != 200:
                self._refusals += 1
                await asyncio.sleep(min(LONGEST_DELAY_S, self._refusals * DELAY_S))
            return status, answer

    async def _exchange(self, asked: Asked) -> tuple[int, bytes]:
        self._number += 1
        self._waiting = asyncio.get_running_loop().create_future()
        self._writer.write(asked.packed(self._number))
        await self._writer.drain()
        return await self._waiting

    def answered(self, header: dict[str, Any], body: bytes) -> None:
        """Take an answer; one to a request that was given up is dropped.

        Args:
            header: with number and status
            body: of the response
        """
        waiting = self._waiting
        if header["number"] == self._number and waiting and not waiting.done():
            waiting.set_result((header["status"], body))


class Box:
    """The listening socket of one box and its connections.

    Args:
        path: of the socket
        engine: answers the requests
    """

    def __init__(self, path: str, engine: EngineLink) -> None:
        self._engine = engine
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.setblocking(False)
        place = os.open(os.path.dirname(path), os.O_DIRECTORY)
        try:  # a socket's path has at most 107 characters, and TMPDIR may be longer
            self._listening.bind(f"/proc/self/fd/{place}/{os.path.basename(path)}")
        finally:
            os.close(place)
        # the candidate is another user; no other process can find the socket
        Path(path).chmod(0o666)
        self._listening.listen(CONNECTIONS)
        self._open = asyncio.Semaphore(CONNECTIONS)
        self._connections: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._open.acquire()
            try:
                accepted, _ = await loop.sock_accept(self._listening)
            except OSError:  # it was given up, or descriptors are short: later again
                self._open.release()
                await asyncio.sleep(0.1)
                continue
            task = asyncio.create_task(self._serve(accepted))
            self._connections.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._open.release()
        if not task.cancelled():
            task.exception()  # of this connection alone, which is closed

    async def _serve(self, accepted: socket.socket) -> None:
        with accepted:
            reader, writer = await asyncio.open_connection(sock=accepted, limit=_CHUNK)
            try:
                with contextlib.suppress(
                    h11.ProtocolError, OSError, TimeoutError, MemoryError
                ):
                    await Connection(reader, writer, self._engine).run()
                    async with asyncio.timeout(REQUEST_S):
                        writer.close()
                        await writer.wait_closed()
            finally:
                writer.transport.abort()

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        self._accepting.cancel()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(
            self._accepting, *self._connections, return_exceptions=True
        )
        await self._engine.close()
        self._listening.close()


class Connection:
    """One connection of an agent.

    Args:
        reader: from the agent
        writer: to the agent
        engine: answers the requests
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        engine: EngineLink,
    ) -> None:
        self._reader, self._writer, self._engine = reader, writer, engine
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADERS)

    async def run(self) -> None:
        """Answer requests until the agent closes the connection or breaks the protocol."""
        alive = True
        while alive:
            first = await self._reader.read(_CHUNK)  # it may stay idle
            self._http.receive_data(first)
            alive = bool(first) and await self._answer()
            while alive and self._http.trailing_data[0]:
                alive = await self._answer()

    async def _answer(self) -> bool:
        """Answer one request that has begun; return whether another may follow."""
        async with asyncio.timeout(REQUEST_S):
            request = await self._next()
        if not isinstance(request, h11.Request):
            return False
        status, body = await self._response(request)
        async with asyncio.timeout(REQUEST_S):
            await self._send(status, body)
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        await self._discard()
        return False

    async def _next(self) -> Any:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                await self._write(
                    h11.InformationalResponse(status_code=100, headers=[])
                )
            self._http.receive_data(await self._reader.read(_CHUNK))

    async def _response(self, request: h11.Request) -> tuple[int, bytes]:
        """Read the body and answer; a body that is refused is left unread."""
        try:
            _check(request)
        except Refusal as why:
            return why.status, why.body
        if request.method == b"GET":
            await self._body()
            return 200, _json(_MODELS)
        return await self._engine.ask(self._body)

    async def _body(self) -> bytes:
        body = bytearray()
        async with asyncio.timeout(REQUEST_S):
            while isinstance(event := await self._next(), h11.Data):
                body += event.data
        if not isinstance(event, h11.EndOfMessage):
            raise h11.RemoteProtocolError("the body is cut off")
        return bytes(body)

    async def _discard(self) -> None:
        """Read on without keeping it, so that the agent can read the response."""
        async with asyncio.timeout(DISCARD_S):
            while await self._reader.read(_CHUNK):
                pass

    async def _send(self, status: int, body: bytes) -> None:
        headers = [
            ("content-type", "application/json; charset=utf-8"),
            ("content-length", str(len(body))),
        ]
        await self._write(h11.Response(status_code=status, headers=headers))
        await self._write(h11.Data(data=body))
        await self._write(h11.EndOfMessage())

    async def _write(self, event: Any) -> None:
        self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()


def _check(request: h11.Request) -> None:
    """Raise `Refusal` for what is not served, and for bodies that are too large."""
    path = bytes(request.target).split(b"?")[0]
    wanted = {b"/v1/chat/completions": b"POST", b"/v1/models": b"GET"}.get(path)
    if wanted is None:
        raise Refusal(404, "not_found", "there is only /v1/chat/completions")
    if request.method != wanted:
        raise Refusal(405, "method_not_allowed", f"use {wanted.decode()}")
    headers = dict(request.headers)
    if b"transfer-encoding" in headers:
        raise Refusal(411, "length_required", "send a Content-Length, not chunks")
    size = int(headers.get(b"content-length", b"0"))
    if size > MAX_BODY:
        raise Refusal(413, "too_large", f"a body may have {MAX_BODY:,} bytes")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Follow the engine until it closes the connection.

    Args:
        reader: from the engine
        writer: to the engine
    """
    engine, box = EngineLink(writer), None
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            sizes = wire.frame_lengths(await reader.readexactly(8))
            header = wire.parse_header(await reader.readexactly(sizes[0]))
            body = await reader.readexactly(sizes[1])
            if header["op"] == "answer":
                engine.answered(header, body)
            elif header["op"] == "open":
                engine = EngineLink(writer)
                box = Box(header["path"], engine)
                writer.write(wire.frame({"op": "opened"}))
            elif box is not None:
                await box.close()
                box = None
                writer.write(wire.frame({"op": "closed"}))
            await writer.drain()


async def main() -> None:
    """Serve the engine at the socket that is this process's standard input."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own = socket.socket(fileno=os.dup(0))
    own.setblocking(False)
    await serve(*await asyncio.open_connection(sock=own, limit=1 << 20))


if __name__ == "__main__":
    asyncio.run(main())

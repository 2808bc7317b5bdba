"""The wire: values and frames that cross the trust boundary as bytes, never as code.

A *value* is None, bool, int, str, bytes, a finite float, a numeric numpy array, or a
list, tuple or dict of these. It is encoded as JSON (structure) followed by raw bytes
(arrays and byte strings). Nothing is ever unpickled. A *frame* is a small JSON header
with an opaque payload.

This file runs on both sides of the trust boundary, so it imports the standard library
only; numpy is used if it is already loaded.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any, Protocol

MAX_DEPTH = 64
MAX_CONTAINERS = 1_000_000  # per value: in memory each takes many times its text
MAX_HEADER_BYTES = 64 * 1024
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
_DTYPES = frozenset(
    f"{order}{kind}"
    for order in "<|"
    for kind in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
)
_FRAME = struct.Struct(">II")
_LENGTH = struct.Struct(">I")


class Stream(Protocol):
    """A blocking binary stream."""

    def read(self, size: int, /) -> bytes | None:
        """Return 1 to `size` bytes; empty or None when the stream has ended."""

    def write(self, data: bytes, /) -> int | None:
        """Write bytes; return how many were taken."""

    def flush(self) -> None:
        """Send all buffered bytes."""


class Unsendable(TypeError):
    """The value contains something that may not cross the trust boundary."""


class Malformed(ValueError):
    """The bytes are not a valid value or frame of this protocol."""


def encode(value: Any) -> bytes:
    """Encode one value.

    Args:
        value: See the module's description.

    Returns:
        Length of the JSON text (4 bytes), JSON text, raw bytes.

    Raises:
        Unsendable: The protocol can't send the value.
    """
    blobs: list[bytes] = []
    try:
        text = json.dumps(
            _pack(value, blobs, 0), allow_nan=False, separators=(",", ":")
        )
    except ValueError as error:
        raise Unsendable(str(error)) from None
    data = text.encode()
    if _containers(data) > MAX_CONTAINERS:
        raise Unsendable(f"more than {MAX_CONTAINERS:,} lists")
    return b"".join([_LENGTH.pack(len(data)), data, *blobs])


def _pack(value: Any, blobs: list[bytes], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Unsendable(f"nested deeper than {MAX_DEPTH} levels")
    kind = type(value)
    if value is None or kind in (bool, int):
        return value
    if kind is float:
        if not math.isfinite(value):
            raise Unsendable(f"a number that is not finite: {value}")
        return value
    if kind is str:
        return value
    if kind is list:
        return [_pack(item, blobs, depth + 1) for item in value]
    if kind is tuple:
        return {"$t": [_pack(item, blobs, depth + 1) for item in value]}
    if kind is dict:
        return {
            "$d": [
                [_pack(k, blobs, depth + 1), _pack(v, blobs, depth + 1)]
                for k, v in value.items()
            ]
        }
    if kind in (bytes, bytearray):
        blobs.append(bytes(value))
        return {"$b": len(value)}
    return _pack_numpy(value, blobs)


def _pack_numpy(value: Any, blobs: list[bytes]) -> Any:
    import sys

    numpy = sys.modules.get("numpy")
    if (
        numpy is not None
        and isinstance(value, numpy.generic)
        and value.dtype.kind in "biuf"
    ):
        return _pack(value.item(), blobs, 0)
    if numpy is not None and type(value) is numpy.ndarray:
        array = numpy.ascontiguousarray(value)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(
            value.shape
        )
        if array.dtype.str not in _DTYPES:
            raise Unsendable(f"an array of type {array.dtype}")
        if array.dtype.kind == "f" and not numpy.isfinite(array).all():
            raise Unsendable("an array with numbers that are not finite")
        blobs.append(array.tobytes())
        return {"$a": [array.dtype.str, list(array.shape)]}
    raise Unsendable(
        f"a value of type {type(value).__module__}.{type(value).__qualname__}"
    )


def decode(data: bytes, *, text_keys: bool = False) -> Any:
    """Decode one value; never runs code that came with the bytes.

    Args:
        data: As `encode` returns it.
        text_keys: Whether to refuse other keys of dicts: a dict of integers with one hash
            is filled in quadratic time.

    Returns:
        The value.

    Raises:
        Malformed: The bytes are not a valid value.
    """
    view, _ = split(data)
    text, start = bytes(view), _LENGTH.size + len(view)
    if _containers(text) > MAX_CONTAINERS:
        raise Malformed(f"more than {MAX_CONTAINERS:,} lists")
    try:
        tree = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None
    reader = _Blobs(data, start, text_keys)
    value = _unpack(tree, reader, 0)
    if reader.position != len(data):
        raise Malformed("bytes are left over")
    return value


def split(data: bytes, most: int = MAX_PAYLOAD_BYTES) -> tuple[memoryview, memoryview]:
    """Split an encoded value into its JSON text and its raw bytes, without copying.

    Args:
        data: As `encode` returns it.
        most: Limit on the text in bytes.

    Returns:
        Text and raw bytes.

    Raises:
        Malformed: It is cut off, or the text is too long.
    """
    if len(data) < _LENGTH.size:
        raise Malformed("shorter than its own length field")
    (length,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size + length
    if start > len(data):
        raise Malformed("the text is cut off")
    if length > most:
        raise Malformed(f"a text of {length:,} bytes; the limit is {most:,}")
    view = memoryview(data)
    return view[_LENGTH.size : start], view[start:]


def _containers(text: bytes) -> int:
    """Return an upper bound on the number of containers: all opening brackets."""
    return text.count(b"[") + text.count(b"{")


def _refuse_constant(name: str) -> Any:
    raise Malformed(f"a number that is not finite: {name}")


class _Blobs:
    """Hands out the raw bytes after the text, in order."""

    def __init__(self, data: bytes, position: int, text_keys: bool) -> None:
        self.data, self.position, self.text_keys = data, position, text_keys

    def take(self, length: int) -> bytes:
        end = self.position + length
        if length < 0 or end > len(self.data):
            raise Malformed("more bytes announced than sent")
        piece = self.data[self.position : end]
        self.position = end
        return piece


def _unpack(tree: Any, blobs: _Blobs, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Malformed(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(tree, float) and not math.isfinite(tree):
        raise Malformed("a number that is not finite")  # JSON's 1e999
    if isinstance(tree, str):
        try:
            tree.encode()
        except UnicodeEncodeError:
            raise Malformed("text with a lone surrogate") from None
        return tree
    if isinstance(tree, list):
        return [_unpack(item, blobs, depth + 1) for item in tree]
    if isinstance(tree, dict):
        return _unpack_tagged(tree, blobs, depth)
    return tree


def _unpack_tagged(tree: dict[str, Any], blobs: _Blobs, depth: int) -> Any:
    if len(tree) != 1:
        raise Malformed("an object with more than its tag")
    tag, body = next(iter(tree.items()))
    if tag == "$t" and isinstance(body, list):
        return tuple(_unpack(item, blobs, depth + 1) for item in body)
    if tag == "$d" and isinstance(body, list):
        return _unpack_dict(body, blobs, depth)
    if tag == "$b" and type(body) is int:
        return blobs.take(body)
    if tag == "$a" and isinstance(body, list) and len(body) == 2:
        return _unpack_array(body[0], body[1], blobs)
    raise Malformed(f"an unknown tag {tag[:20]!r}")


def _unpack_dict(pairs: list[Any], blobs: _Blobs, depth: int) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Malformed("a dict entry that is no pair")
        if blobs.text_keys and type(pair[0]) is not str:
            raise Malformed("a dict key that is not a text")
        key = _unpack(pair[0], blobs, depth + 1)
        if isinstance(key, (list, dict)) or type(key).__name__ == "ndarray":
            raise Malformed("a dict key that can't be one")
        try:
            result[key] = _unpack(pair[1], blobs, depth + 1)
        except TypeError:  # a tuple with a list in it
            raise Malformed("a dict key that can't be one") from None
    return result


def _unpack_array(dtype: Any, shape: Any, blobs: _Blobs) -> Any:
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise Malformed("an array of a type that is not sent")
    if (
        not isinstance(shape, list)
        or len(shape) > 32
        or not all(type(n) is int and 0 <= n < 2**40 for n in shape)
    ):
        raise Malformed("an array shape that is none")
    size = math.prod(shape) * int(dtype[2:])
    raw = blobs.take(size)
    try:
        import numpy
    except ImportError:
        raise Malformed("an array, but numpy is not installed here") from None
    try:
        array = numpy.frombuffer(raw, dtype=dtype).reshape(shape).copy()
    except ValueError as error:  # empty, with sides too large for numpy
        raise Malformed(f"an array shape that is none: {error}") from None
    if array.dtype.kind == "b" and raw.strip(b"\0\1"):
        raise Malformed("an array of truth values with another one")
    if array.dtype.kind == "f" and not numpy.isfinite(array).all():
        raise Malformed("an array with numbers that are not finite")
    return array


def frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """Encode one frame.

    Args:
        header: A JSON object.
        payload: Opaque content.

    Returns:
        Two lengths (4 bytes each), header, payload.
    """
    text = json.dumps(header, separators=(",", ":")).encode()
    return _FRAME.pack(len(text), len(payload)) + text + payload


def frame_lengths(
    prefix: bytes, max_payload: int = MAX_PAYLOAD_BYTES
) -> tuple[int, int]:
    """Return the lengths of header and payload.

    Args:
        prefix: The first 8 bytes of a frame.
        max_payload: Limit on the payload in bytes.

    Returns:
        Both lengths in bytes.

    Raises:
        Malformed: A length exceeds its limit.
    """
    header, payload = _FRAME.unpack(prefix)
    if header > MAX_HEADER_BYTES or payload > max_payload:
        raise Malformed(
            f"a message of {header + payload} bytes; the limit is {max_payload}"
        )
    return header, payload


def parse_header(text: bytes) -> dict[str, Any]:
    """Parse the header of a frame.

    Args:
        text: JSON.

    Returns:
        The header.

    Raises:
        Malformed: It is not a JSON object.
    """
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a header that is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise Malformed("a header that is no object")
    return header


def read_frame(stream: Stream) -> tuple[dict[str, Any], bytes]:
    """Read one frame from a blocking stream.

    Args:
        stream: The stream.

    Returns:
        Header and payload.

    Raises:
        EOFError: The stream is at its end.
        Malformed: The frame is not valid.
    """
    header, payload = frame_lengths(_read_exactly(stream, _FRAME.size))
    return parse_header(_read_exactly(stream, header)), _read_exactly(stream, payload)


def _read_exactly(stream: Stream, count: int) -> bytes:
    data = stream.read(count) if count else b""
    if data is None or len(data) < count:
        raise EOFError("the other side is gone")
    return data

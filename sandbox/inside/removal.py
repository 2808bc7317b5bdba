"""Empty a directory without keeping any name that was in it.

A candidate chooses the names of its files. Text that Python has read stays in freed
memory, and every later candidate inherits that by the fork. So names are read into
memory that no fork inherits, and are used from there. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os

from .incoming import private_memory

_LISTING_BYTES, _NAME_BYTES, _MOST_LEVELS = 1 << 15, 256, 256
_RECORD = 19  # bytes before the name in a `struct linux_dirent64`
_LENGTH_AT = 16  # offset of the record's length, two bytes
_AT_REMOVEDIR = 0x200
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)
_memory = private_memory(_LISTING_BYTES + _NAME_BYTES * _MOST_LEVELS)
_address = ctypes.addressof(ctypes.c_char.from_buffer(_memory))


def empty(folder: str) -> bool:
    """Remove everything in a directory.

    Args:
        folder: Path of the directory.

    Returns:
        False if something is left.
    """
    try:
        descriptor = os.open(folder, _DIRECTORY)
    except OSError:
        return False
    try:
        _empty(descriptor, 0)
    except OSError:
        return False
    finally:
        os.close(descriptor)
        _memory.madvise(mmap.MADV_DONTNEED)
    return True


def _empty(descriptor: int, level: int) -> None:
    """List and remove until the directory is empty. Raises `OSError`."""
    if level == _MOST_LEVELS:
        raise OSError(errno.ELOOP, "too many levels")
    while True:
        os.lseek(descriptor, 0, os.SEEK_SET)
        size = _checked(
            _libc.getdents64(descriptor, ctypes.c_void_p(_address), _LISTING_BYTES)
        )
        names = _names(size)
        if not names:
            return
        for name in names:
            if not _unlink(descriptor, name):
                _remove_folder(descriptor, name, level)
                break  # the inner listing has overwritten this one


def _names(size: int) -> list[int]:
    """Return the addresses of the names in a listing, without "." and ".."."""
    found, at = [], 0
    while at < size:
        # read only the bytes that distinguish "." and ".."
        name = _memory[at + _RECORD : at + _RECORD + 3]
        if name[:2] != b".\0" and name != b"..\0":
            found.append(_address + at + _RECORD)
        at += int.from_bytes(_memory[at + _LENGTH_AT : at + _LENGTH_AT + 2], "little")
    return found


def _unlink(descriptor: int, name: int) -> bool:
    """Remove a file; return False for a directory. Raises `OSError`."""
    if _libc.unlinkat(descriptor, ctypes.c_void_p(name), 0) == 0:
        return True
    if ctypes.get_errno() == errno.EISDIR:
        return False
    raise OSError(ctypes.get_errno(), "unlinkat")


def _remove_folder(descriptor: int, name: int, level: int) -> None:
    """Empty and remove a directory. Raises `OSError`."""
    kept = _address + _LISTING_BYTES + level * _NAME_BYTES
    ctypes.memmove(kept, name, _NAME_BYTES)
    inner = _checked(_libc.openat(descriptor, ctypes.c_void_p(kept), _DIRECTORY))
    try:
        _empty(inner, level + 1)
    finally:
        os.close(inner)
    _checked(_libc.unlinkat(descriptor, ctypes.c_void_p(kept), _AT_REMOVEDIR))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

"""Confine a command by Landlock, where bubblewrap can't make namespaces.

    python -I -S landlock.py SCRATCH READABLE:READABLE FILTER COMMAND...

The command, and all that it starts, can read what it needs to run and write its scratch
folder only; from Linux 6.12 on it can't send signals to other processes. Landlock knows no
sockets but TCP's, so a filter of system calls refuses new sockets: no network, and no daemon
behind a socket's path. The kernel's documentation is
`Documentation/userspace-api/landlock.rst`. This file imports the standard library only.
"""

import base64
import ctypes
import os
import struct
import sys

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # on all machines
_VERSION, _PATH_BENEATH, _NO_NEW_PRIVS = 1, 1, 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ABI_ACCESS = {
    1: (1 << 13) - 1,
    2: 1 << 13,
    3: 1 << 14,
    5: 1 << 15,
}  # added by each ABI
_TCP, _TCP_ABI = 0b11, 4  # bind and connect
_SCOPES, _SCOPES_ABI = 0b11, 6  # abstract sockets, signals
_FILE_ACCESS = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15
_SET_SECCOMP, _FILTER_MODE = 22, 2
_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return the version of Landlock in this kernel; 0 without it."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION)))


def restrict(readable: list[str], writable: list[str]) -> None:
    """Restrict this process and its descendants for good.

    Args:
        readable: Files and folders that they may read and execute; missing ones are
            ignored.
        writable: Folders that they may change.

    Raises:
        OSError: The kernel refuses.
    """
    abi = version()
    handled = sum(bits for since, bits in _ABI_ACCESS.items() if since <= abi)
    net = _TCP if abi >= _TCP_ABI else 0
    scopes = _SCOPES if abi >= _SCOPES_ABI else 0
    size = 24 if abi >= _SCOPES_ABI else 16 if abi >= _TCP_ABI else 8
    attributes = struct.pack("=QQQ", handled, net, scopes)[:size]
    ruleset = _checked(_libc.syscall(_CREATE_RULESET, attributes, size, 0), "create")
    for path in readable:
        _allow(ruleset, path, handled & _READ)
    for path in writable:
        _allow(ruleset, path, handled)
    _allow(ruleset, "/dev/null", handled & (_READ | _WRITE_FILE))
    _checked(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    _checked(_libc.syscall(_RESTRICT_SELF, ruleset, 0), "restrict")
    os.close(ruleset)


def filter_calls(program: bytes) -> None:
    """Install a filter of system calls, after `restrict`.

    Args:
        program: A program of `struct sock_filter`.

    Raises:
        OSError: The kernel refuses.
    """
    steps = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(steps))
    packed = ctypes.create_string_buffer(header)
    _checked(_libc.prctl(_SET_SECCOMP, _FILTER_MODE, packed, 0, 0), "filter calls")


def _allow(ruleset: int, path: str, access: int) -> None:
    """Allow access below a path; of a file, what applies to files."""
    try:
        found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    access = access if os.path.isdir(path) else access & _FILE_ACCESS
    rule = struct.pack("=Qi", access, found)
    _checked(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), f"allow {path}")
    os.close(found)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock, {what}: {os.strerror(number)}")
    return result


def main() -> None:
    """Restrict this process and execute the command."""
    scratch, readable, calls, *command = sys.argv[1:]
    restrict(readable.split(":"), [scratch])
    filter_calls(base64.b64decode(calls))
    os.environ["TMPDIR"] = os.environ["HOME"] = scratch
    os.execv(command[0], command)


if __name__ == "__main__":
    main()

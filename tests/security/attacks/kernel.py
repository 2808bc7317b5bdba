"""What the kernel and the engine do for a candidate: tables, buffers, families, decoding."""

from tests.security.attacks.attack import Attack, Reason, faulted, nothing_won

KERNEL = (
    Attack(
        "page_tables",
        """
def attack():
    import ctypes
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    size = 300 << 30
    at = libc.mmap(None, size, 1, 0x4022, -1, 0)
    if at in (None, 2**64 - 1):
        return
    libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(size), 15)
    for offset in range(0, size, 1 << 21):
        ctypes.c_char.from_address(at + offset).value
    time.sleep(1)
    won.append("tables")
""",
        faulted(Reason.MEMORY),
    ),
    Attack(
        "buffers_of_sockets",
        """
def attack():
    def fill():
        held = []
        for _ in range(110):
            a, b = socket.socketpair()
            held += [a, b]
            for s in (a, b):
                s.setblocking(False)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
                try:
                    while True:
                        s.send(bytes(60000))
                except OSError:
                    pass
        time.sleep(4)
    for _ in range(8):
        spawn(fill)
    fill()
    won.append("buffers")
""",
        faulted(Reason.MEMORY),
    ),
    Attack(
        "rare_address_families",
        """
def attack():
    for family in (40, 38, 31, 29, 30, 21, 41, 44, 43, 17, 3):
        for kind in (1, 2, 3, 5):
            gain(f"family {family}", lambda: socket.socket(family, kind))
    gain("netfilter", lambda: socket.socket(16, 3, 12))
""",
        nothing_won,
    ),
    Attack(
        "a_message_that_a_pattern_searches_for_long",
        """
def attack():
    forge({"id": question()["id"], "ok": False, "error": "exception", "message": "a" * 60000})
""",
        faulted(Reason.EXCEPTION),
    ),
    Attack(
        "a_header_of_many_levels",
        """
def attack():
    forge(b'{"id": ' + b"[" * 30000 + b"]" * 30000 + b"}")
""",
        faulted(Reason.REFUSED),
    ),
)

"""Memory: of one process, of many, and outside of any."""

from tests.security.attacks.attack import LIMITS, Attack, Reason, at_most, faulted

_WHOLE_BOX = LIMITS.memory_bytes + LIMITS.disk_bytes

MEMORY = (
    Attack(
        "memory_bomb",
        """
def attack():
    blocks = []
    while True:
        blocks.append(b"x" * (1 << 22))
""",
        faulted(Reason.MEMORY),
    ),
    Attack(
        "memory_bomb_in_children",
        f"""
def answer():
    def hold():
        block = b"x" * ({LIMITS.memory_bytes} // 4)
        time.sleep(1.5)
        os._exit(7)
    children = [spawn(hold) for _ in range(12)]
    ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    return [ended.count(7) * ({LIMITS.memory_bytes} // 4)]
""",
        at_most(_WHOLE_BOX),
        slow=True,
    ),
    Attack(
        "shared_memory_bomb",
        """
def attack():
    import mmap
    blocks = []
    while True:
        blocks.append(mmap.mmap(-1, 1 << 24))
        for at in range(0, 1 << 24, 4096):
            blocks[-1][at] = 1
""",
        faulted(Reason.MEMORY),
    ),
    Attack(
        "memory_in_files_without_a_name",
        """
def answer():
    total = 0
    try:
        while True:
            total += os.write(os.memfd_create("x"), bytes(1 << 23))
    except OSError:
        return [total]
""",
        at_most(_WHOLE_BOX),
    ),
    Attack(
        "memory_in_system_v_segments",
        """
def answer():
    total = 0
    libc.shmat.restype = ctypes.c_void_p
    while total < 2 << 30:
        number = libc.shmget(0, 1 << 24, 0o1600)
        if number < 0:
            break
        at = libc.shmat(number, None, 0)
        ctypes.memset(at, 1, 1 << 24)
        libc.shmdt(ctypes.c_void_p(at))
        total += 1 << 24
    return [total]
""",
        at_most(_WHOLE_BOX),
    ),
    Attack(
        "the_server_shall_be_killed_for_memory",
        f"""
def attack():
    code = ("import time,os\\nopen('/proc/self/oom_score_adj','w').write('0')\\n"
            "x = bytearray(b'x') * ({_WHOLE_BOX} // 40)\\ntime.sleep(20)")
    def hold():
        os.execv(sys.executable, [sys.executable, "-S", "-E", "-c", code])
    for _ in range(48):
        try:
            spawn(hold)
        except OSError:
            pass
    # what counts for nobody: files in memory
    for place in ("/tmp", "/dev/shm"):
        try:
            open(place + "/fill", "wb").write(bytes({LIMITS.disk_bytes}))
        except OSError:
            pass
    os.execv(sys.executable, [sys.executable, "-S", "-E", "-c", code])
""",
        faulted(Reason.MEMORY, Reason.CRASH, Reason.TIMEOUT),
        timeout_s=4,
        slow=True,
    ),
)

"""Processes, signals, time, and rights."""

from tests.security.attacks.attack import (
    LIMITS,
    Attack,
    Reason,
    at_most,
    faulted,
    nothing_won,
)

PROCESS = (
    Attack(
        "fork_bomb",
        """
def attack():
    while True:
        try:
            os.fork()
        except OSError:
            pass
""",
        faulted(Reason.TIMEOUT),
        timeout_s=0.7,
    ),
    Attack(
        "fork_bomb_whose_first_process_exits",
        """
def attack():
    def bomb():
        while True:
            try:
                os.fork()
            except OSError:
                pass
    spawn(bomb)
    time.sleep(0.3)
    os._exit(0)
""",
        faulted(Reason.CRASH),
    ),
    Attack(
        "thread_bomb",
        """
def answer():
    for count in range(1000):
        try:
            threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
        except RuntimeError:
            break
    return [count]
""",
        at_most(LIMITS.processes),
    ),
    Attack(
        "process_bomb",
        """
def answer():
    for count in range(300):
        try:
            spawn(lambda: time.sleep(20))
        except OSError:
            break
    return [count]
""",
        at_most(LIMITS.processes),
    ),
    Attack(
        "every_signal_to_the_server",
        """
def attack():
    for number in range(1, 65):
        try:
            os.kill(1, number)
        except OSError:
            pass
    time.sleep(0.1)
""",
        nothing_won,
    ),
    Attack(
        "signals_to_everybody",
        """
def attack():
    for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
        try:
            os.kill(-1, number)
        except OSError:
            pass
""",
        nothing_won,
    ),
    Attack(
        "kills_its_own_group",
        """
def attack():
    os.killpg(0, signal.SIGKILL)
""",
        faulted(Reason.CRASH),
    ),
    Attack(
        "stops_itself",
        """
def attack():
    os.kill(os.getpid(), signal.SIGSTOP)
""",
        faulted(Reason.TIMEOUT),
        timeout_s=0.7,
    ),
    Attack(
        "dies_of_a_signal_without_a_name",
        """
def attack():
    os.kill(os.getpid(), 40)
""",
        faulted(Reason.CRASH),
    ),
    Attack(
        "daemon_outlives_the_answer",
        """
def attack():
    def daemon():
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            open("/tmp/" + MARK, "w").write(MARK)
            time.sleep(0.01)
    os.waitpid(spawn(daemon), 0)
""",
        nothing_won,
    ),
    Attack(
        "daemon_holds_every_pipe",
        """
def attack():
    spawn(lambda: (os.setsid(), time.sleep(1000)))
""",
        nothing_won,
    ),
    Attack(
        "ignores_every_signal",
        """
def attack():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        pass
""",
        faulted(Reason.TIMEOUT),
        timeout_s=0.7,
    ),
    Attack(
        "never_lets_the_interpreter_go",
        """
def attack():
    10 ** 10 ** 9
""",
        faulted(Reason.TIMEOUT),
        timeout_s=0.7,
    ),
    Attack(
        "becomes_another_program",
        """
def attack():
    os.execv(sys.executable, [sys.executable, "-c", "while True: pass"])
""",
        faulted(Reason.TIMEOUT),
        timeout_s=0.7,
    ),
    Attack(
        "threads_run_on",
        """
def attack():
    def burn():
        while True:
            pass
    for _ in range(4):
        threading.Thread(target=burn).start()
""",
        nothing_won,
    ),
    Attack(
        "load_from_a_session_of_its_own",
        """
def attack():
    def burn():
        os.setsid()
        while True:
            pass
    for _ in range(4):
        spawn(burn)
""",
        nothing_won,
    ),
    Attack(
        "traces_the_server",
        """
def attack():
    gain("attach", libc.ptrace, 16, 1, 0, 0)
    gain("seize", libc.ptrace, 0x4206, 1, 0, 0)
""",
        nothing_won,
    ),
    Attack(
        "reads_and_writes_the_servers_memory",
        """
def attack():
    for name in ("mem", "maps", "environ", "auxv", "pagemap", "stack", "syscall"):
        gain(name, lambda: open(f"/proc/1/{name}", "rb").read(8))
    gain("write", lambda: open("/proc/1/mem", "r+b"))
    buffer = ctypes.create_string_buffer(8)
    class iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    here, there = iovec(ctypes.addressof(buffer), 8), iovec(id(None), 8)
    for name in ("process_vm_readv", "process_vm_writev"):
        gain(name, lambda: getattr(libc, name)(1, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
""",
        nothing_won,
    ),
    Attack(
        "takes_the_servers_descriptors",
        """
def attack():
    gain("list", os.listdir, "/proc/1/fd")
    for number in range(12):
        gain(f"open {number}", lambda: open(f"/proc/1/fd/{number}", "wb"))
        gain(f"fdinfo {number}", lambda: open(f"/proc/1/fdinfo/{number}").read())
    pidfd = os.pidfd_open(1)
    for number in range(12):
        gain(f"pidfd_getfd {number}", libc.syscall, 438, pidfd, number, 0)
    gain("root", os.listdir, "/proc/1/root")
    gain("cwd", os.listdir, "/proc/1/cwd")
""",
        nothing_won,
    ),
    Attack(
        "forges_the_servers_word_on_its_stdout",
        """
def attack():
    packet = struct.pack(">cI", b"E", 2) + b"{}"
    for path in ("/proc/1/fd/1", "/dev/stdout", "/dev/console", "/dev/tty", "/proc/self/fd/1"):
        try:
            with open(path, "wb", buffering=0) as file:
                file.write(packet)
        except OSError:
            pass
""",
        nothing_won,
    ),
    Attack(
        "limits_the_server",
        """
def attack():
    import resource
    for kind in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_AS):
        gain(f"prlimit {kind}", resource.prlimit, 1, kind, (0, 0))
    time.sleep(0.1)
""",
        nothing_won,
    ),
    Attack(
        "raises_its_own_limits",
        """
def attack():
    import resource
    for name in ("DATA", "FSIZE", "NOFILE", "CORE", "MSGQUEUE"):
        kind = getattr(resource, f"RLIMIT_{name}")
        soft, hard = resource.getrlimit(kind)
        gain(name, resource.setrlimit, kind, (hard + 1, hard + 1))
        gain(f"no {name}", resource.setrlimit, kind, (resource.RLIM_INFINITY,) * 2)
""",
        nothing_won,
    ),
    Attack(
        "changes_its_user",
        """
def attack():
    for name, *ids in (("setuid", 0), ("setgid", 0), ("setresuid", 0, 0, 0), ("setreuid", -1, 0),
                       ("setegid", 0), ("seteuid", 0), ("setuid", os.getuid() + 1)):
        if os.getuid() + 1 in ids or 0 in ids:
            gain(f"{name} {ids}", getattr(os, name), *ids)
    gain("setgroups", os.setgroups, [0])
    class header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
    class data(ctypes.Structure):
        _fields_ = [("words", ctypes.c_uint32 * 6)]
    head, body = header(0x20080522, 0), data((ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6))
    gain("capset", libc.capset, ctypes.byref(head), ctypes.byref(body))
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    for name in ("CapEff", "CapPrm", "CapAmb"):
        if int(status[name], 16):
            won.append(name)
    if status["NoNewPrivs"].strip() != "1":
        won.append("new privileges")
""",
        nothing_won,
    ),
    Attack(
        "makes_namespaces_and_mounts",
        """
def attack():
    for name, flag in (("user", 0x10000000), ("mount", 0x20000), ("pid", 0x20000000),
                       ("net", 0x40000000), ("ipc", 0x08000000)):
        gain(f"unshare {name}", libc.unshare, flag)
        gain(f"setns {name}", libc.setns, os.pidfd_open(1), flag)
    gain("mount", libc.mount, b"none", b"/tmp", b"tmpfs", 0, None)
    gain("bind", libc.mount, b"/evolve", b"/tmp", None, 4096, None)
    gain("umount", libc.umount2, b"/tmp", 2)
    gain("chroot", os.chroot, "/tmp")
    gain("pivot", libc.syscall, 155, b"/tmp", b"/tmp")
    gain("hostname", socket.sethostname, MARK)
""",
        nothing_won,
    ),
    Attack(
        "takes_priority",
        """
def attack():
    gain("nice", os.nice, -5)
    for policy in (os.SCHED_FIFO, os.SCHED_RR):
        gain(f"policy {policy}", os.sched_setscheduler, 0, policy, os.sched_param(1))
    gain("everybody", os.setpriority, os.PRIO_PROCESS, 1, -5)
""",
        nothing_won,
    ),
    Attack(
        "closes_every_descriptor",
        """
def attack():
    os.closerange(0, 256)
""",
        faulted(Reason.CRASH),
    ),
    Attack(
        "loads_kernel_code",
        """
def attack():
    for name, number in (("bpf", 321), ("perf", 298), ("userfaultfd", 323), ("io_uring", 425),
                         ("kexec", 246), ("init_module", 175), ("open_by_handle", 304)):
        gain(name, libc.syscall, number, 0, 0, 0, 0, 0)
    gain("reboot", libc.reboot, 0)
    gain("settime", time.clock_settime, time.CLOCK_REALTIME, time.time())
""",
        nothing_won,
    ),
    Attack(
        "tampers_with_its_copy_of_the_server",
        """
def attack():
    server = sys.modules["evolve_inside.server"]
    for name in ("clean_up", "wipe", "kill_all", "others", "start", "serve_one", "send", "no_ipc"):
        setattr(server, name, lambda *a: True)
    for name in ("Candidate", "respond", "run"):
        setattr(sys.modules["evolve_inside.child"], name, None)
    spot = id(server.start.__code__)
    ctypes.memset(spot + 16, 0, 8)
""",
        nothing_won,
    ),
    Attack(
        "rebinds_the_builtins",
        """
def attack():
    import builtins, json
    builtins.len = builtins.sum = builtins.max = lambda *a: 999
    builtins.open = builtins.print = lambda *a, **k: None
    os.kill = os.fork = os.write = lambda *a: 0
""",
        faulted(Reason.TIMEOUT),
        timeout_s=0.7,
    ),
    Attack(
        "hooks_the_exit",
        """
import atexit
def attack():
    atexit.register(lambda: open("/tmp/" + MARK, "w").write(MARK))
    sys.excepthook = threading.excepthook = lambda *a: os.write(4, MARK.encode())
    signal.signal(signal.SIGCHLD, lambda *a: os.write(4, MARK.encode()))
""",
        nothing_won,
    ),
    Attack(
        "exits_while_it_loads",
        """
print(MARK)
sys.exit(0)
""",
        faulted(Reason.EXCEPTION),
    ),
    Attack(
        "raises_what_nobody_catches",
        """
class Strange(BaseException):
    def __str__(self):
        raise Strange
def attack():
    raise Strange
""",
        faulted(Reason.CRASH),
    ),
)

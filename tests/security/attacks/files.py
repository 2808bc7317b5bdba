"""Files: too many, too large, in the wrong place, and left for the next candidate."""

from tests.security.attacks.attack import LIMITS, Attack, at_most, nothing_won

_PLACES = (
    '("/tmp", "/dev/shm", "/dev/mqueue", "/dev", "/", "/var/tmp", "/run", "/evolve")'
)

FILES = (
    Attack(
        "disk_fill",
        f"""
def answer():
    total = 0
    for place in {_PLACES}:
        try:
            for number in range(200):
                with open(f"{{place}}/fill{{number}}", "wb", buffering=0) as file:
                    while file.tell() < {LIMITS.disk_bytes} // 2:
                        total += file.write(bytes(1 << 20))
        except OSError:
            continue
    return [total]
""",
        at_most(2 * LIMITS.disk_bytes + (1 << 20)),
        timeout_s=10,
    ),
    Attack(
        "a_huge_sparse_file",
        f"""
def attack():
    for place in {_PLACES}:
        def sparse():
            with open(place + "/sparse", "wb") as file:
                file.truncate({LIMITS.disk_bytes} * 64)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        gain(place, sparse)
""",
        nothing_won,
    ),
    Attack(
        "many_files",
        f"""
def answer():
    total = 0
    for place in {_PLACES}:
        try:
            for number in range({LIMITS.files} * 2):
                os.close(os.open(f"{{place}}/{{number}}", os.O_CREAT | os.O_WRONLY))
                total += 1
        except OSError:
            continue
    return [total]
""",
        at_most(2 * LIMITS.files),
        timeout_s=20,
    ),
    Attack(
        "deep_folders",
        """
def attack():
    os.chdir("/tmp")
    try:
        for _ in range(3000):
            os.mkdir(MARK)
            os.chdir(MARK)
    except OSError:
        pass
""",
        nothing_won,
        timeout_s=10,
        slow=True,
    ),
    Attack(
        "strange_names",
        """
def attack():
    names = ["\\udcff", "a\\nb", "\\u202e", "-rf", "*", "\\x01", "é" * 100, " ", "...", MARK * 5]
    for place in ("/tmp", "/dev/shm"):
        for name in names:
            os.mkdir(f"{place}/{name}")
            open(f"{place}/{name}/{name}", "w").write(MARK)
""",
        nothing_won,
    ),
    Attack(
        "folders_without_rights",
        """
def attack():
    for place in ("/tmp", "/dev/shm"):
        os.makedirs(f"{place}/{MARK}/inner")
        open(f"{place}/{MARK}/inner/file", "w").write(MARK)
        os.chmod(f"{place}/{MARK}/inner", 0)
        os.chmod(f"{place}/{MARK}", 0)
""",
        nothing_won,
    ),
    Attack(
        "links_to_what_must_stay",
        """
def attack():
    for number, target in enumerate(("/evolve", "/evolve/server.py", "/usr", "/proc/1", "/", "..")):
        os.symlink(target, f"/tmp/link{number}")
        os.symlink(target, f"/dev/shm/link{number}")
    for target in ("/evolve/server.py", "/evolve/child.py", "/etc/passwd", sys.executable):
        gain(f"hard link {target}", os.link, target, "/tmp/hard")
""",
        nothing_won,
    ),
    Attack(
        "pipes_and_sockets_as_files",
        """
def attack():
    os.mkfifo("/tmp/fifo")
    socket.socket(socket.AF_UNIX).bind("/tmp/socket")
    socket.socket(socket.AF_UNIX).bind("\\0" + MARK)
""",
        nothing_won,
    ),
    Attack(
        "writes_to_the_root",
        """
def attack():
    import sysconfig
    paths = ["/planted", "/etc/passwd", "/evolve/server.py", "/evolve/planted.py", "/dev/planted",
             "/opt/packages/sitecustomize.py", os.path.dirname(os.__file__) + "/sitecustomize.py",
             os.path.dirname(os.__file__) + "/os.py", sys.executable, "/proc/sys/kernel/core_pattern",
             "/proc/sys/kernel/domainname", "/proc/sysrq-trigger", "/proc/1/oom_score_adj",
             "/proc/1/comm", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max",
             "/sys/fs/cgroup/cgroup.procs"]
    for path in paths:
        gain(path, lambda: open(path, "a"))
        gain(f"remove {path}", os.unlink, path)
""",
        nothing_won,
    ),
    Attack(
        "changes_rights_of_what_is_not_its_own",
        """
def attack():
    for path in ("/", "/tmp", "/dev/shm", "/evolve", "/evolve/server.py", "/dev/null", sys.executable):
        if os.stat(path).st_uid == os.getuid():
            continue  # where there is one user id only, scratch is used once
        gain(f"chmod {path}", os.chmod, path, 0o777)
        gain(f"chown {path}", os.chown, path, os.getuid() + 1, -1)
        gain(f"utime {path}", os.utime, path, (0, 0))
        gain(f"rename {path}", os.rename, path, "/tmp/mine")
""",
        nothing_won,
    ),
    Attack(
        "makes_devices",
        """
import stat
def attack():
    for number, device in enumerate(((1, 1), (8, 0), (254, 0), (10, 229))):
        gain(f"block {device}", os.mknod, f"/tmp/b{number}", stat.S_IFBLK | 0o666, os.makedev(*device))
        gain(f"char {device}", os.mknod, f"/tmp/c{number}", stat.S_IFCHR | 0o666, os.makedev(*device))
    for path in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/kvm", "/dev/fuse"):
        gain(path, lambda: open(path, "rb"))
""",
        nothing_won,
    ),
    Attack(
        "sets_the_user_bit",
        """
def attack():
    with open("/tmp/tool", "wb") as file:
        file.write(open(sys.executable, "rb").read(4096))
    os.chmod("/tmp/tool", 0o6755)
    for folder, _, names in os.walk("/"):
        if folder.startswith(("/proc", "/tmp", "/dev")):
            continue
        won.extend(f"{folder}/{name}" for name in names if not os.path.islink(f"{folder}/{name}")
                   and os.stat(f"{folder}/{name}").st_mode & 0o6000)
""",
        nothing_won,
    ),
    Attack(
        "plants_start_up_files",
        """
def attack():
    import site
    text = "import os; os.environ['PLANTED'] = 'yes'"
    folders = ["/tmp", "/dev/shm", site.getusersitepackages(), "/tmp/.config", os.getcwd()]
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
        for name in ("sitecustomize.py", "usercustomize.py", "conftest.py", "numpy.py", "x.pth",
                     "candidate.py", "json.py", "pyvenv.cfg"):
            open(f"{folder}/{name}", "w").write(text)
""",
        nothing_won,
    ),
    Attack(
        "leaves_files_everywhere",
        """
def attack():
    for folder, _, _ in os.walk("/"):
        if folder.startswith("/proc"):
            continue
        try:
            open(f"{folder}/{MARK}", "w").write(MARK)
        except OSError:
            pass
""",
        nothing_won,
        timeout_s=10,
    ),
    Attack(
        "leaves_system_v_objects",
        """
def attack():
    libc.shmat.restype = ctypes.c_void_p
    number = libc.shmget(0x7e57, 4096, 0o1666)
    if number >= 0:
        ctypes.memmove(libc.shmat(number, None, 0), MARK.encode(), len(MARK))
    libc.semget(0x7e57, 1, 0o1666)
    libc.msgget(0x7e57, 0o1666)
""",
        nothing_won,
    ),
    Attack(
        "leaves_message_queues",
        """
def attack():
    libc.mq_open.restype = ctypes.c_int
    gain("queue", lambda: ctypes.CDLL("librt.so.1").mq_open(b"/" + MARK.encode(), 0o102, 0o666, None))
""",
        nothing_won,
    ),
    Attack(
        "leaves_keys",
        """
def attack():
    for ring in (-1, -2, -3, -4, -5):
        gain(f"key in {ring}", libc.syscall, 248, b"user", MARK.encode(), MARK.encode(), 8, ring)
    gain("join", libc.syscall, 250, 1, b"evolve")
""",
        nothing_won,
    ),
)

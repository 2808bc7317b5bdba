"""The code of every variant: one commit each in a bare git repository.

The parents of a commit are the commits of the variant's parents. Objects are written in
process and read by gitdb; git itself is started for maintenance only. SQL holds the
hashes, so nothing is looked up by a ref; refs are written from time to time for use
with git's own tools.
"""

import hashlib
import itertools
import os
import shlex
import struct
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Self

from gitdb import GitDB
from gitdb.db.pack import PackedDB
from gitdb.exc import BadObject, InvalidDBRoot
from gitdb.pack import PackEntity
from gitdb.util import mman

from evolve.archive.errors import ArchiveError, StorageFull, moved
from evolve.archive.git import make_harmless, run_git
from evolve.archive.gitpython import tree_to_stream
from evolve.archive.names import invalid_name

Files = Mapping[str, bytes]
_FILE, _EXECUTABLE, _FOLDER = 0o100644, 0o100755, 0o040000
_REFS = "refs/variants/"
_UNREADABLE = (zlib.error, struct.error, ValueError, LookupError, AssertionError)
_AUTHOR = "evolve <evolve@localhost>"


def is_executable(content: bytes) -> bool:
    """Return whether a file is a script or a program, by its first bytes.

    Args:
        content: The file's.

    Returns:
        True for `#!` and ELF: the only files that are stored as executable.
    """
    return content.startswith((b"#!", b"\x7fELF"))


class Commit(NamedTuple):
    """Hashes of a stored variant."""

    tree: str
    commit: str


class _Packs(PackedDB):  # type: ignore[misc]
    """The packs of one repository; its path may hold any character.

    gitdb's own reads the path as a pattern, in which `[1]` means another name.
    """

    _st_mtime: float
    _entities: list[Any]

    def update_cache(self, force: bool = False) -> bool:
        """Read again which packs there are, if the directory has changed."""
        changed = os.stat(self.root_path()).st_mtime
        if not force and changed <= self._st_mtime:
            return False
        self._st_mtime = changed
        known = {item[1].pack().path(): item for item in self._entities}
        self._entities = [
            known.get(path) or self._entity(path)
            for path in map(str, Path(self.root_path()).glob("pack-*.pack"))
        ]
        self._sort_entities()
        return True

    @staticmethod
    def _entity(path: str) -> list[Any]:
        pack = PackEntity(path)
        return [pack.pack().size(), pack, pack.index().sha_to_index]


class _Objects(GitDB):  # type: ignore[misc]
    """The objects of one repository, without those that it borrows from others."""

    PackDBCls = _Packs
    alternates_dir = "info/not-read"


class CodeStore:
    """Trees and commits by hash. Not thread-safe: use it from one thread.

    Args:
        path: The bare repository.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._objects = str(path / "objects")
        self._db: Any = _Objects(self._objects)
        self._written = itertools.count()

    @classmethod
    def create(cls, path: Path) -> Self:
        """Create a bare repository in which git never packs by itself.

        Args:
            path: Its directory.

        Returns:
            The store.
        """
        store = cls(path)
        options = ("--bare", "--quiet", "--initial-branch=best", "--template=")
        store._git("init", *options)
        make_harmless(path)
        return store

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing repository.

        Args:
            path: Its directory.

        Returns:
            The store.

        Raises:
            ArchiveError: `path` is not a git repository.
        """
        if not (path / "objects").is_dir():
            raise ArchiveError(
                f"{path} is not a git repository", "was the run copied completely?"
            )
        return cls(path)

    @classmethod
    def open_to_write(cls, path: Path) -> Self:
        """Open an existing repository as its only writer; remove stale locks of git.

        Args:
            path: Its directory.

        Returns:
            The store.

        Raises:
            ArchiveError: `path` is not a git repository.
        """
        store = cls.open(path)
        for lock in (*path.glob("*.lock"), *path.glob("refs/**/*.lock")):
            lock.unlink()
        return store

    def tree_of(self, files: Files) -> str:
        """Store a tree of files.

        Scripts and programs are stored as executable: see `is_executable`.

        Args:
            files: Path -> content; "/" separates directories.

        Returns:
            Hash of the tree; equal files give an equal hash.

        Raises:
            StorageFull: The disk can't be written.
            ArchiveError: A name can't be in a tree.
        """
        if wrong := invalid_name(files):
            raise ArchiveError(wrong, "no variant can have this name")
        return self._tree_of(files)

    def _tree_of(self, files: Files) -> str:
        folders: dict[str, dict[str, bytes]] = {}
        entries: list[tuple[bytes, int, str]] = []
        for path, content in files.items():
            name, _, rest = path.partition("/")
            if rest:
                folders.setdefault(name, {})[rest] = content
            else:
                mode = _EXECUTABLE if is_executable(content) else _FILE
                entries.append((self._store(b"blob", content), mode, name))
        for name, inner in folders.items():
            entries.append((bytes.fromhex(self._tree_of(inner)), _FOLDER, name))
        entries.sort(key=lambda entry: entry[2] + ("/" if entry[1] == _FOLDER else ""))
        stream = BytesIO()
        tree_to_stream(entries, stream.write)
        return self._store(b"tree", stream.getvalue()).hex()

    def commit(self, files: Files, parents: Sequence[str], message: str) -> Commit:
        """Store a variant; objects that were stored before stay intact when this fails.

        Args:
            files: Path -> content.
            parents: Hashes of the parent commits; duplicates are dropped.
            message: The commit message.

        Returns:
            Hashes of the tree and the commit.

        Raises:
            StorageFull: The disk can't be written.
        """
        return self.commit_tree(self.tree_of(files), parents, message)

    def commit_tree(self, tree: str, parents: Sequence[str], message: str) -> Commit:
        """Store a commit of a tree that is already stored.

        Args:
            tree: Hash of the tree.
            parents: Hashes of the parent commits; duplicates are dropped.
            message: The commit message.

        Returns:
            Hashes of the tree and the commit.

        Raises:
            StorageFull: The disk can't be written.
        """
        stamp = f"{_AUTHOR} {int(time.time())} +0000"
        lines = [
            f"tree {tree}",
            *(f"parent {parent}" for parent in dict.fromkeys(parents)),
            f"author {stamp}",
            f"committer {stamp}",
            "",
            message,
            "",
        ]
        return Commit(tree, self._store(b"commit", "\n".join(lines).encode()).hex())

    def files(self, tree: str) -> dict[str, bytes]:
        """Return the files of a tree.

        Args:
            tree: Hash of the tree.

        Returns:
            Path -> content.

        Raises:
            ArchiveError: The tree, or an object in it, does not exist.
        """
        found: dict[str, bytes] = {}
        for mode, name, sha in self._entries(self._read(tree)):
            if mode == _FOLDER:
                inner = self.files(sha)
                found |= {f"{name}/{path}": content for path, content in inner.items()}
            else:
                found[name] = self._read(sha)
        return found

    def refs(self) -> dict[str, str]:
        """Return the commits of variants that the repository names.

        Returns:
            Variant id -> hash of its commit.
        """
        found: dict[str, str] = {}
        packed = self.path / "packed-refs"
        text = packed.read_text("latin-1") if packed.is_file() else ""
        for line in text.splitlines():
            commit, _, name = line.partition(" ")
            if name.startswith(_REFS) and len(commit) == 40:
                found[name.removeprefix(_REFS)] = commit
        return found

    def described(self, commit: str) -> tuple[str, str, tuple[str, ...]]:
        """Return the tree of a commit, the commit, and its parents.

        Args:
            commit: Hash of the commit.

        Returns:
            Hashes.

        Raises:
            ArchiveError: It does not exist, or is damaged.
        """
        head = self._read(commit).decode("latin-1").partition("\n\n")[0]
        pairs = [line.partition(" ") for line in head.splitlines()]
        trees = [sha for key, _, sha in pairs if key == "tree"]
        if len(trees) != 1:
            raise self._damaged(commit)
        return trees[0], commit, tuple(sha for key, _, sha in pairs if key == "parent")

    def tidy(self, refs: Mapping[str, str], best: str | None = None) -> None:
        """Write refs and pack loose objects; safe to kill at any moment.

        Args:
            refs: Variant id -> hash of its commit.
            best: Hash of the commit of the best variant; None leaves its branch
                unchanged.

        Raises:
            StorageFull: The disk can't be written.
            ArchiveError: git failed.
        """
        named = {f"{_REFS}{name}": commit for name, commit in refs.items()}
        if best is not None:
            named["refs/heads/best"] = best
        self._write_refs(named)
        # Each pack has twice the objects of the next: a long run keeps a handful.
        self._git("repack", "--geometric=2", "-d", "-q")
        self.close()  # so that the next read finds the new packs

    def _write_refs(self, refs: Mapping[str, str]) -> None:
        """Add refs to git's file of packed refs; git itself makes a file for each first."""
        packed, own = self.path / "packed-refs", self.path / "packed-refs.lock"
        with self._writing():
            text = packed.read_text("latin-1") if packed.exists() else ""
            found = [
                line.partition(" ") for line in text.split("\n") if line[:1] not in "#^"
            ]
            known = {name: commit for commit, _, name in found} | dict(refs)
            lines = [f"{commit} {name}\n" for name, commit in known.items()]
            own.write_text("".join(lines), "latin-1")
            own.rename(packed)
            for name in refs:
                (self.path / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the packs, each with a file descriptor; the next read reopens them."""
        # not gitdb's own `databases`, which would open all of them first
        for part in vars(self._db).get("_dbs", ()):
            for _, pack, _ in vars(part).get("_entities", ()):
                pack.close()
        self._db = _Objects(self._objects)
        mman.collect()

    def _git(self, *arguments: str) -> None:
        done = run_git(f"--git-dir={self.path}", *arguments)
        said = done.stderr.decode(errors="replace").strip()
        if done.returncode != 0:
            self._see_whether_it_is_there()
        if any(sign in said for sign in ("No space left", "Read-only", "quota")):
            raise StorageFull(
                f"{self.path} can't be written: {said.splitlines()[-1]}",
                "free disk space, then: evolve resume",
            )
        if done.returncode != 0:
            raise ArchiveError(
                f"git {arguments[0]} failed in {self.path}: {said}",
                f"try: git --git-dir={self.path} fsck",
            )

    def _see_whether_it_is_there(self) -> None:
        if not (self.path / "HEAD").exists():
            raise moved(self.path)

    def _store(self, kind: bytes, data: bytes) -> bytes:
        """Store a loose object unless it exists, and return its binary hash."""
        raw = b"%s %d\0%s" % (kind, len(data), data)
        sha = hashlib.sha1(raw, usedforsecurity=False)
        name = sha.hexdigest()
        path = f"{self._objects}/{name[:2]}/{name[2:]}"
        if not os.path.exists(path):
            with self._writing():
                self._write(path, zlib.compress(raw, 1))
        return sha.digest()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._see_whether_it_is_there()
            raise StorageFull(
                f"{self.path} can't be written: {error.strerror}",
                "free disk space, then: evolve resume",
            ) from None

    def _write(self, path: str, data: bytes) -> None:
        """Write a file atomically; git removes what a killed writer leaves."""
        temporary = f"{self._objects}/tmp_obj_{os.getpid()}_{next(self._written)}"
        # By descriptor: a Python file object costs as much as the write.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        try:
            _write_all(descriptor, data)
            _rename(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise

    def _read(self, sha: str) -> bytes:
        try:
            return bytes(self._db.stream(bytes.fromhex(sha)).read())
        except (BadObject, InvalidDBRoot, OSError) as error:
            self._see_whether_it_is_there()
            if isinstance(error, OSError):
                raise
            raise ArchiveError(
                f"{self.path} has no object {sha}",
                f"try: git --git-dir={shlex.quote(str(self.path))} fsck",
            ) from None
        except _UNREADABLE:
            raise self._damaged(sha) from None

    def _damaged(self, sha: str) -> ArchiveError:
        return ArchiveError(
            f"{self.path} has a damaged object {sha}",
            f"try: git --git-dir={shlex.quote(str(self.path))} fsck",
        )

    @staticmethod
    def _entries(data: bytes) -> list[tuple[int, str, str]]:
        entries: list[tuple[int, str, str]] = []
        position = 0
        while position < len(data):
            end = data.index(b"\0", position)
            mode, _, name = data[position:end].partition(b" ")
            sha = data[end + 1 : end + 21]
            if b"/" in name or invalid_name([name.decode(errors="replace")]):
                raise ArchiveError(
                    f"a tree holds the name {name!r}, which no variant can have",
                    "the run was damaged or made by hand",
                )
            entries.append((int(mode, 8), name.decode(), sha.hex()))
            position = end + 21
        return entries


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data` and close the descriptor."""
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _rename(temporary: str, path: str) -> None:
    """Rename into a directory that may not exist yet."""
    try:
        os.rename(temporary, path)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.rename(temporary, path)

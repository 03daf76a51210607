"""Where an importer reads: files of a hub dataset, of a folder, or one file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Protocol

from py_worker.data import hub
from py_worker.data.errors import DataError
from py_worker.data.files import READERS, BadLines, Rows, read_file
from py_worker.data.importers.clone import commit_of


class Tree(Protocol):
    """Files by their path in a folder or repository."""

    @property
    def files(self) -> Sequence[str]: ...

    @property
    def commit(self) -> str | None: ...

    def fetch(self, file: str) -> Path: ...


@dataclass(frozen=True)
class Folder:
    """A local tree; `files` are its data files, hidden folders left out."""

    root: Path
    files: tuple[str, ...]
    commit: str | None = None

    def fetch(self, file: str) -> Path:
        """Where the file is."""
        return self.root / file


@dataclass(frozen=True)
class UsedFile:
    """A file that was read.

    Attributes:
        name: its path in the source.
        bytes: its size.
        sha256: of its content, in hexadecimal digits.
    """

    name: str
    bytes: int
    sha256: str


class Source:
    """A source, and what of it was read.

    Attributes:
        label: as it was named.
        kind: `hub`, `folder` or `file`.
        used: files read so far.
        commit: of the hub's repository, or of the clone that a folder is; None where there is none.
    """

    def __init__(self, label: str, kind: str, trees: Iterator[Tree], configuration: str = "") -> None:
        self.label = label
        self.kind = kind
        self.used: list[UsedFile] = []
        self.commit: str | None = None
        self._pending = trees
        self._trees: list[Tree] = []
        self._configuration = configuration

    @property
    def name(self) -> str:
        """The hub's name, or that of the file or folder without where it lies."""
        return self.label if self.kind == "hub" else Path(self.label).expanduser().resolve().name

    def split(self, *names: str) -> Rows | None:
        """`(place, value)` of each row of a split, by the first of its names that has files; None without.

        Which files a split has: see `hub.files_of_split`.

        Raises:
            DataError: a file that cannot be read, or an ambiguous split or hub configuration.
        """
        for tree in self._all_trees():
            for name in names:
                if files := self._choose(tree, name):
                    return self._rows(tree, files)
        return None

    def whole(self, *names: str) -> Rows:
        """The rows of the only file, whatever its name, else those of `split(*names)`.

        Raises:
            DataError: nothing to read.
        """
        if self.kind == "file":
            tree = next(self._all_trees())
            return self._rows(tree, tree.files)
        rows = self.split(*names)
        if rows is None:
            found = ", ".join(file for tree in self._trees for file in tree.files[:20])
            raise DataError(f"{self.label}: no data file of {' or '.join(names)}; there is {found or 'none'}")
        return rows

    def file(self, name: str) -> Path | None:
        """A file by its path in the source, counted as used; None where there is none."""
        for tree in self._all_trees():
            local = isinstance(tree, Folder) and self.kind == "folder" and (tree.root / name).is_file()
            if local or name in tree.files:
                path = tree.fetch(name)
                self._use(tree, name, path)
                return path
        return None

    def _choose(self, tree: Tree, split: str) -> list[str]:
        if self.kind == "hub":
            return hub.choose(tree.files, split, self._configuration, self.label)
        return hub.files_of_split(tree.files, split, self.label)

    def _all_trees(self) -> Iterator[Tree]:
        """Listed when they are needed: the hub's converted files are, only where the others do not serve."""
        yield from self._trees
        for tree in self._pending:
            self._trees.append(tree)
            yield tree

    def _rows(self, tree: Tree, files: Sequence[str]) -> Rows:
        # One file after the other, so that a reader who stops early downloads no more than it reads.
        return chain.from_iterable(self._read(tree, file) for file in files)

    def _read(self, tree: Tree, file: str) -> Rows:
        path = tree.fetch(file)
        self._use(tree, file, path)
        return read_file(path, BadLines())

    def _use(self, tree: Tree, name: str, path: Path) -> None:
        self.commit = tree.commit
        if all(used.name != name for used in self.used):
            self.used.append(UsedFile(name, path.stat().st_size, _hash(path)))


def open_source(given: str) -> Source:
    """A hub dataset (`owner/name` or `owner/name:configuration`), a folder or a file.

    Raises:
        DataError: there is no such file or folder, and it is no hub name.
    """
    path = Path(given).expanduser()
    if path.is_file() or path.suffix in READERS:
        if path.suffix not in READERS:
            raise DataError(
                f"{path}: unknown kind of data file; use one of {', '.join(READERS)}, or a folder"
            )
        if not path.is_file():
            raise DataError(f"{path}: no such file (looked in {Path.cwd()})")
        return Source(given, "file", iter([Folder(path.parent, (path.name,))]))
    if path.is_dir():
        return Source(given, "folder", iter([Folder(path, _data_files(path), commit_of(path))]))
    name, _, configuration = given.partition(":")
    if name.partition("@")[0].count("/") != 1 or given.startswith((".", "/", "~")):
        raise DataError(
            f"{given}: no such file or folder (looked in {Path.cwd()}), and no hub dataset named owner/name"
        )
    return Source(given, "hub", iter(hub.trees(name)), configuration)


def _data_files(root: Path) -> tuple[str, ...]:
    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix in READERS and path.is_file())
    return tuple(sorted(path.as_posix() for path in found if not any(part[0] == "." for part in path.parts)))


def _hash(path: Path) -> str:
    digest = sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return digest.hexdigest()

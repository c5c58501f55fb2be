"""The files behind a source: which there are, whether they are whole, what they hold by content."""

import glob
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dagster_project.errors import SourceError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
BLOCK = 1 << 20


@dataclass(frozen=True)
class InputFile:
    """A local file of a source. `name` is how the user knows it: relative to the settings, or its address."""

    name: str
    path: Path

    @property
    def compression(self) -> str | None:
        """By suffix: gzip, zstd or None."""
        return COMPRESSIONS.get(self.path.suffix.lower())


@dataclass(frozen=True)
class FileStamp:
    """What tells that a file did not change without reading it."""

    size: int
    modified_ns: int


def find_files(patterns: Sequence[str], *, root: Path, landing: Path, source: str) -> list[InputFile]:
    """The files that the patterns name, sorted by name, each once. Remote ones are copied to `landing`.

    Raises:
        SourceError: a pattern matches nothing, or a matched file is empty.
    """
    found: dict[str, InputFile] = {}
    for pattern in patterns:
        matched = list(match_remote(pattern, landing=landing) if "://" in pattern else match_local(pattern, root=root))
        if not matched:
            raise SourceError(
                f"sources.{source}.path: no file matches {pattern!r} (looked in {root})",
                fix="correct the path in the settings (it is relative to their folder), or deliver the file",
            )
        found.update({file.name: file for file in matched})
    for file in found.values():
        if file.path.stat().st_size == 0:
            raise SourceError(
                f"sources.{source}: {file.name} is empty (0 bytes)",
                fix="deliver the file again, or remove it; a day without rows still has a header line",
            )
    return [found[name] for name in sorted(found)]


def match_local(pattern: str, *, root: Path) -> Iterator[InputFile]:
    """Local files of a path or glob that is absolute or relative to `root`."""
    for text in glob.glob(str(root / pattern), recursive=True):  # noqa: PTH207  Path.glob takes no absolute pattern
        path = Path(text)
        if path.is_file():
            name = path.relative_to(root) if path.is_relative_to(root) else path
            yield InputFile(name=name.as_posix(), path=path)


def match_remote(pattern: str, *, landing: Path) -> Iterator[InputFile]:
    """Files of an object store, copied once to `landing` by address, size and time of change."""
    import fnmatch

    from pyarrow import fs

    base = pattern.split("*")[0].rsplit("/", 1)[0]
    system, folder = fs.FileSystem.from_uri(base)
    scheme = pattern.split("://")[0]
    wanted = folder + pattern[len(base) :]
    for info in system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True)):
        if info.type == fs.FileType.File and fnmatch.fnmatch(info.path, wanted):
            version = hashlib.sha256(f"{info.path}|{info.size}|{info.mtime_ns}".encode()).hexdigest()[:16]
            copy = landing / version / info.base_name
            if not copy.exists():
                download(system, info.path, copy)
            yield InputFile(name=f"{scheme}://{info.path.lstrip('/')}", path=copy)


def download(system: "object", source: str, target: Path) -> None:
    """Copy one remote file aside and move it into place whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(target.name + ".tmp")
    with system.open_input_stream(source) as stream, aside.open("wb") as file:  # type: ignore[attr-defined]
        while block := stream.read(BLOCK):
            file.write(block)
    aside.replace(target)


def stamp(file: InputFile) -> FileStamp:
    """Size and time of change."""
    stat = file.path.stat()
    return FileStamp(size=stat.st_size, modified_ns=stat.st_mtime_ns)


def content_hash(file: InputFile) -> str:
    """SHA-256 of the bytes as they lie."""
    digest = hashlib.sha256()
    with file.path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check_whole(file: InputFile, *, source: str) -> None:
    """Read a compressed file to its end.

    Raises:
        SourceError: it breaks off or is not what its suffix says.
    """
    if file.compression is None:
        return
    import pyarrow as pa

    try:
        with pa.input_stream(str(file.path), compression=file.compression) as stream:
            while stream.read(BLOCK):
                pass
    except OSError as error:
        raise SourceError(
            f"sources.{source}: {file.name} is not a whole {file.compression} file ({error})",
            fix="deliver the file again; nothing of it was taken in",
        ) from error


def first_line(file: InputFile, *, encoding: str, source: str) -> str:
    """The first line of a text file, without its end and without a byte-order mark.

    Raises:
        SourceError: the line is not text in that encoding, or longer than a mebibyte.
    """
    import pyarrow as pa

    with pa.input_stream(str(file.path), compression=file.compression) as stream:
        line = stream.read(BLOCK).split(b"\n", 1)[0]
    try:
        return str(line.decode(encoding).removeprefix("\ufeff").rstrip("\r"))
    except UnicodeDecodeError as error:
        raise SourceError(
            f"sources.{source}: the first line of {file.name} is not {encoding}",
            fix=f'set sources.{source}.encoding (for example "latin-1"), or deliver the file as UTF-8',
        ) from error

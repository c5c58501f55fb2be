"""The files behind a source: which there are, whether they are whole, what they hold by content."""

import codecs
import glob
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dagster_project.errors import SourceError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
SCHEMES = {"az": "abfs"}  # as pyarrow calls it
UTF8 = ("utf-8", "utf-8-sig", "ascii")
WILD = re.compile(r"[*?\[]")
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
        matched = list(
            match_remote(pattern, landing=landing, source=source)
            if "://" in pattern
            else match_local(pattern, root=root)
        )
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
    exact = root / pattern
    # the settings' own folder is no pattern, even if it holds brackets
    below = Path(pattern).relative_to(root) if Path(pattern).is_relative_to(root) else Path(pattern)
    found = [str(exact)] if exact.is_file() else glob.glob(str(below), root_dir=root, recursive=True)  # noqa: PTH207
    for path in (root / text for text in found):
        if path.is_file():
            name = path.relative_to(root) if path.is_relative_to(root) else path
            yield InputFile(name=name.as_posix(), path=path)


def match_remote(pattern: str, *, landing: Path, source: str) -> list[InputFile]:
    """Files of an object store, copied once to `landing` by address, size and time of change.

    Raises:
        SourceError: the store is unknown, cannot be reached or does not let us in.
    """
    try:
        return list(copied(pattern, landing=landing))
    except (OSError, ValueError, NotImplementedError) as error:
        said = (str(error) or type(error).__name__).splitlines()[
            0
        ]  # the stores' libraries raise these, some without a word
        raise SourceError(
            f"sources.{source}.path: {pattern!r} cannot be read: {said}",
            fix="check the address (s3://, gs://, az://, file://), the network and the credentials in the environment",
        ) from error


def copied(pattern: str, *, landing: Path) -> Iterator[InputFile]:
    """The files of an object store that match, each copied to `landing` if its version is not there yet."""
    import fnmatch
    from urllib.parse import quote

    from pyarrow import fs

    base = WILD.split(pattern)[0].rsplit("/", 1)[0]
    scheme, _, place = base.partition("://")
    system, folder = fs.FileSystem.from_uri(f"{SCHEMES.get(scheme, scheme)}://{quote(place, safe='/@:')}")
    wanted = folder + pattern[len(base) :]
    for info in system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True)):
        if info.type == fs.FileType.File and (info.path == wanted or fnmatch.fnmatch(info.path, wanted)):
            version = hashlib.sha256(f"{info.path}|{info.size}|{info.mtime_ns}".encode()).hexdigest()[:16]
            copy = landing / version / info.base_name
            if not copy.exists():
                download(system, info.path, copy)
            yield InputFile(name=base + info.path[len(folder) :], path=copy)


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


def content_hash(file: InputFile, *, source: str) -> str:
    """SHA-256 of the bytes as they lie.

    Raises:
        SourceError: the file may not be read, or has gone.
    """
    digest = hashlib.sha256()
    try:
        with file.path.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    except OSError as error:
        raise SourceError(
            f"sources.{source}: {file.name} cannot be opened ({error.strerror})",
            fix="check the permissions of the file and of its folder, and whether it is still there",
        ) from error
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


@contextmanager
def as_utf8(file: InputFile, *, encoding: str, landing: Path, source: str) -> Iterator[InputFile]:
    """The file with its text in UTF-8: itself, or a copy in `landing` for as long as it is needed.

    Bytes that are no text in that encoding stay as they are, so that their lines are no UTF-8 either and
    end in quarantine.

    Raises:
        SourceError: the bytes cannot be told apart in that encoding at all.
    """
    if codecs.lookup(encoding).name in UTF8:
        yield file
        return
    copy = landing / f"{hashlib.sha256(file.name.encode()).hexdigest()[:16]}-{os.getpid()}.utf8"
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        transcode(file, copy, encoding=encoding, source=source)
        yield replace(file, path=copy)
    finally:
        copy.unlink(missing_ok=True)


def transcode(file: InputFile, copy: Path, *, encoding: str, source: str) -> None:
    """Write the text of `file` to `copy` in UTF-8."""
    import pyarrow as pa

    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogateescape")
    try:
        with pa.input_stream(str(file.path), compression=file.compression) as stream, copy.open("wb") as target:
            while block := stream.read(BLOCK):
                target.write(decoder.decode(block).encode("utf-8", "surrogateescape"))
            target.write(decoder.decode(b"", final=True).encode("utf-8", "surrogateescape"))
    except UnicodeError as error:
        raise SourceError(
            f"sources.{source}: {file.name} is not {encoding} ({error})",
            fix=f"correct sources.{source}.encoding, or deliver the file as UTF-8",
        ) from error


def blank_lines(file: InputFile) -> list[int]:
    """The numbers of the empty lines of a text file, from 1, in order."""
    import pyarrow as pa

    found: list[int] = []
    n_lines, begun = 0, b""
    with pa.input_stream(str(file.path), compression=file.compression) as stream:
        while block := stream.read(BLOCK):
            *lines, begun = (begun + block).split(b"\n")
            if b"" in lines or b"\r" in lines:
                found.extend(n for n, line in enumerate(lines, start=n_lines + 1) if line in (b"", b"\r"))
            n_lines += len(lines)
    return found


def first_line(file: InputFile, *, source: str) -> str:
    """The first line of a UTF-8 file, without its end and without a byte-order mark.

    Raises:
        SourceError: the line is not UTF-8, or longer than a mebibyte.
    """
    import pyarrow as pa

    with pa.input_stream(str(file.path), compression=file.compression) as stream:
        line = stream.read(BLOCK).split(b"\n", 1)[0]
    if len(line) == BLOCK:
        raise SourceError(
            f"sources.{source}: the first line of {file.name} is longer than {BLOCK:,} bytes",
            fix="deliver a text file with line feeds, or correct the format in the settings",
        )
    try:
        return str(line.decode().removeprefix("\ufeff").rstrip("\r"))
    except UnicodeDecodeError as error:
        raise SourceError(
            f"sources.{source}: the first line of {file.name} is not text in the encoding of the settings",
            fix=f'set sources.{source}.encoding (for example "cp1252" or "gb18030"), or deliver the file as UTF-8',
        ) from error

"""Where in a TOML file a key stands: the line to name in an error. Values are read by `tomllib`, never here."""

import re
from collections.abc import Iterator, Mapping

KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)(?P<key>.+?)\]\]?\s*(#.*)?$")
_PART = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*""")
_QUOTES = ('"""', "'''", '"', "'")


def line_of(text: str, path: KeyPath) -> int | None:
    """The line, from 1, of the key at `path` (names, and places in lists), or of the nearest one around it.

    None if nothing of the path stands in the text. Keys within inline tables and lists count for the line of the
    key that holds them. `text` must be valid TOML.
    """
    known = _lines(text)
    for length in range(len(path), 0, -1):
        if path[:length] in known:
            return known[path[:length]]
    return None


def _lines(text: str) -> Mapping[KeyPath, int]:
    """The first line of every key, with what stands above it: a table's keys count from its header on."""
    found: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in _statements(text):
        header = _HEADER.match(line)
        if header is None:
            key = _key(line)
            path = (*table, *key)
        else:
            key = _key(header["key"])
            path = table = _within(key, counts, is_list=header[1] == "[[")
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], number)
    return found


def _within(key: tuple[str, ...], counts: dict[KeyPath, int], *, is_list: bool) -> KeyPath:
    """The path of a header: names of lists are followed by the place of their newest member."""
    path: KeyPath = ()
    for depth, name in enumerate(key, start=1):
        path = (*path, name)
        if is_list and depth == len(key):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The lines on which a header or a key begins, numbered; what goes on over further lines is passed over."""
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        is_begun = depth > 0 or bool(quote)
        if not is_begun and line.strip() and not line.lstrip().startswith("#"):
            yield number, line
        if is_begun or not _HEADER.match(line):
            depth, quote = _open_after(line, depth, quote)


def _open_after(line: str, depth: int, quote: str) -> tuple[int, str]:
    """How many brackets are open after the line, and the quotes of a text that goes on; "" if none does."""
    at = 0
    while at < len(line):
        if quote:
            is_escape = line[at] == "\\" and quote[0] == '"'
            if line.startswith(quote, at):
                at, quote = at + len(quote), ""
            else:
                at += 2 if is_escape else 1
            continue
        opened = next((one for one in _QUOTES if line.startswith(one, at)), "")
        if opened:
            at, quote = at + len(opened), opened
            continue
        if line[at] == "#":
            break
        depth += (line[at] in "[{") - (line[at] in "]}")
        at += 1
    return depth, quote if len(quote) == len('"""') else ""


def _key(text: str) -> tuple[str, ...]:
    """The parts of a dotted key, up to what follows it."""
    parts, at = [], 0
    while found := _PART.match(text, at):
        parts.append(found[1].strip("\"'"))
        at = found.end()
        if not text.startswith(".", at):
            break
        at += 1
    return tuple(parts)

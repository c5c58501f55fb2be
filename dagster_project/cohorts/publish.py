"""The manifest of a night's folder, and the move of the whole folder into place."""

import json
import os
import shutil
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from dagster_project.errors import LakeError

MANIFEST_NAME = "manifest.json"


def manifest(
    folder: Path, *, as_of: date, run_id: str, settings_hash: str, data_hash: str, schema_version: int
) -> dict[str, Any]:
    """What stands in `folder`: each file (but the manifest itself) with `n_rows`, `n_bytes` and `sha256`.

    `n_rows` counts records of CSV and Parquet files, without the header, and is null for other files. Paths
    are relative, with `/`, sorted. The same files and arguments give the same manifest.
    """
    paths = sorted(
        (path.relative_to(folder).as_posix(), path)
        for path in folder.rglob("*")
        if path.is_file() and path != folder / MANIFEST_NAME
    )
    return {
        "as_of": as_of.isoformat(),
        "run_id": run_id,
        "settings_hash": settings_hash,
        "data_hash": data_hash,
        "schema_version": schema_version,
        "files": {
            name: {"n_rows": _n_rows(path), "n_bytes": path.stat().st_size, "sha256": _sha256(path)}
            for name, path in paths
        },
    }


def write_manifest(folder: Path, *, content: dict[str, Any]) -> Path:
    """Writes `manifest.json` (sorted keys, UTF-8, LF), which must be the last file written to `folder`."""
    path = folder / MANIFEST_NAME
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def publish_folder(staged: Path, target: Path) -> None:
    """Moves the finished folder `staged` to `target`, replacing what was there. Both on one file system.

    The order, so that a crash at any point loses nothing: everything staged is flushed to disk; the old
    `target` is renamed to `.<name>.old`; `staged` is renamed to `target`; the old folder is deleted. A crash
    between the renames leaves both folders whole and only the name missing; publishing again, from either
    state, ends the same way.

    Raises:
        LakeError: `staged` is no folder, or has no manifest.
    """
    if not (staged / MANIFEST_NAME).is_file():
        raise LakeError(f"{staged}: not a finished folder ({MANIFEST_NAME} is missing)", fix="stage the night again")
    _flush(staged)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.old")
    if target.exists():
        if aside.exists():
            shutil.rmtree(aside)
        target.rename(aside)
    staged.rename(target)
    _flush_one(target.parent)
    if aside.exists():
        shutil.rmtree(aside)


def _n_rows(path: Path) -> int | None:
    match path.suffix:
        case ".csv":
            return _n_records(path) - 1
        case ".parquet":
            counted: int = pl.scan_parquet(path).select(pl.len()).collect().item()
            return counted
    return None


def _n_records(path: Path) -> int:
    """Lines but those inside quotes: true with any delimiter and byte order mark."""
    n_records, is_inside = 0, False
    with path.open("rb") as lines:
        for line in lines:
            is_inside ^= line.count(b'"') % 2 == 1
            n_records += not is_inside
    return n_records


def _sha256(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _flush_one(path)
    _flush_one(folder)


def _flush_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

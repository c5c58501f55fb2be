import json
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dagster_project.cohorts.export import CsvForm, write_csv
from dagster_project.cohorts.publish import manifest, publish_folder, write_manifest
from dagster_project.errors import LakeError


def _manifest(folder: Path) -> dict[str, Any]:
    return manifest(folder, as_of=date(2026, 1, 2), run_id="r1", settings_hash="s", data_hash="d", schema_version=1)


def _stage(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "cohorts.csv").write_text(text, encoding="utf-8", newline="")
    write_manifest(folder, content=_manifest(folder))
    return folder


def test_the_manifest_counts_records_and_hashes_every_file_but_itself(tmp_path: Path) -> None:
    (tmp_path / "cohorts").mkdir()
    (tmp_path / "cohorts" / "b.csv").write_bytes(b'user_id\n"two\nlines"\n')
    (tmp_path / "a.csv").write_bytes(b"user_id\n")
    (tmp_path / "report.html").write_bytes(b"<p>")
    pl.DataFrame({"x": [1, 2]}).write_parquet(tmp_path / "users.parquet")
    write_manifest(tmp_path, content=_manifest(tmp_path))
    again = _manifest(tmp_path)
    assert {name: entry["n_rows"] for name, entry in again["files"].items()} == {
        "a.csv": 0,
        "cohorts/b.csv": 1,
        "report.html": None,
        "users.parquet": 2,
    }
    assert again["files"]["report.html"] == {
        "n_rows": None,
        "n_bytes": 3,
        "sha256": sha256(b"<p>").hexdigest(),
    }
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8")) == again


def test_records_are_counted_with_any_delimiter_and_mark(tmp_path: Path) -> None:
    form = CsvForm(bom=True, delimiter=";", ids_as_text="formula")
    rows = pl.DataFrame({"n": [1, 2, 3], "user_id": ["a\nb", 'say "hi"\r\n;', "x\ry"]})
    write_csv(rows, tmp_path / "out.csv", form=form)
    assert _manifest(tmp_path)["files"]["out.csv"]["n_rows"] == 3


def test_the_manifest_file_has_sorted_keys_and_unix_lines(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, content={"b": 1, "a": "中"})
    assert path.read_bytes() == '{\n  "a": "中",\n  "b": 1\n}\n'.encode()


def test_a_first_publication_moves_the_folder(tmp_path: Path) -> None:
    publish_folder(_stage(tmp_path / "staged", "user_id\n"), tmp_path / "reports" / "2026-01-02")
    assert not (tmp_path / "staged").exists()
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["2026-01-02"]


def test_a_second_publication_replaces_the_whole_folder(tmp_path: Path) -> None:
    target = tmp_path / "out"
    publish_folder(_stage(tmp_path / "one", "user_id\nold\n"), target)
    (target / "left_behind.txt").write_text("x", encoding="utf-8")
    publish_folder(_stage(tmp_path / "two", "user_id\nnew\n"), target)
    assert sorted(path.name for path in target.iterdir()) == ["cohorts.csv", "manifest.json"]
    assert (target / "cohorts.csv").read_bytes() == b"user_id\nnew\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("crashed_after", ["old renamed", "new renamed"])
def test_publishing_again_mends_a_crash(tmp_path: Path, crashed_after: str) -> None:
    target, aside = tmp_path / "out", tmp_path / ".out.old"
    _stage(aside, "user_id\nold\n")
    if crashed_after == "new renamed":
        _stage(target, "user_id\nnew\n")
    publish_folder(_stage(tmp_path / "staged", "user_id\nnew\n"), target)
    assert (target / "cohorts.csv").read_bytes() == b"user_id\nnew\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_unfinished_folder_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "staged").mkdir()
    with pytest.raises(LakeError, match=r"manifest\.json is missing"):
        publish_folder(tmp_path / "staged", tmp_path / "out")
    assert not (tmp_path / "out").exists()

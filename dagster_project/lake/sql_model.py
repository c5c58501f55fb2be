"""A file of sql/: one select, and the comment header that is its only metadata.

    -- One row per user: how long the user has been silent.
    --
    -- grain:      user_sk
    -- partition:  as_of
    -- params:     $as_of (date): last day, inclusive, that the model may see
    -- tests:      not_null user_sk; unique user_sk; silence_days >= 0
    -- columns:
    --   user_sk: the user
    --   silence_days (days): since the last active day
    --
    -- The business rule, in prose.

`partition` says what one file of the table holds: `day` (one event day; the query must treat each `dt` by
itself, or with the days before it that `lookback: 30 days` has it shown), `as_of` (all that was visible on that
day), `state` (like as_of, folded forward from the nearest earlier one, which the query reads as `<table>_before`;
`start` gives the columns of the empty first one), or `whole`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, cast, get_args

import sqlglot
from sqlglot import exp

from dagster_project.errors import SqlModelError
from dagster_project.lake.duck import quoted

PartitionKind = Literal["day", "as_of", "state", "whole"]
SECTIONS = ("grain", "partition", "lookback", "params", "tests", "start", "columns")


@dataclass(frozen=True)
class ColumnDoc:
    """What a column means; `unit` as written in brackets, or None."""

    description: str
    unit: str | None


@dataclass(frozen=True)
class SqlTest:
    """A rule over a built table. `failing` counts the rows of `{table}` that break it."""

    name: str
    failing: str


@dataclass(frozen=True)
class SqlModel:
    """One table of the lake and the query that makes it."""

    table: str
    path: Path
    query: str
    description: str
    prose: str
    grain: tuple[str, ...]
    partition: PartitionKind
    lookback_days: int
    params: tuple[str, ...]
    tests: tuple[SqlTest, ...]
    columns: Mapping[str, ColumnDoc]
    reads: tuple[str, ...]
    start: str | None

    @property
    def schema(self) -> str:
        """The layer."""
        return self.table.split(".")[0]

    @property
    def name(self) -> str:
        """The table's name within its layer."""
        return self.table.split(".")[1]

    @property
    def before(self) -> str:
        """The name under which a `state` model reads its own earlier partition."""
        return f"{self.table}_before"

    @cached_property
    def code_version(self) -> str:
        """Changes exactly when the query changes, not when its layout or its comments do."""
        normal = sqlglot.parse_one(self.query, dialect="duckdb").sql("duckdb", comments=False)
        return hashlib.sha256(normal.encode()).hexdigest()[:16]


def sql_root() -> Path:
    """The folder of the SQL models: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "sql"
    return inside if inside.is_dir() else package.parent / "sql"


def load_models(root: Path | None = None) -> dict[str, SqlModel]:
    """Every model below `root` by table name, in the order of their names.

    Raises:
        SqlModelError: a header or query breaks the rules of this module.
    """
    files = sorted((root or sql_root()).glob("*/*.sql"))
    models = [load_model(file) for file in files]
    return {model.table: model for model in models}


def load_model(path: Path) -> SqlModel:
    """The model of one file `<layer>/<table>.sql`.

    Raises:
        SqlModelError: the header lacks a section, the query is not one select, or the two disagree.
    """
    return _parsed(path, path.read_text(encoding="utf-8"))


@lru_cache(maxsize=1024)  # the definitions of the graph ask for the same files dozens of times
def _parsed(path: Path, text: str) -> SqlModel:
    header, query = split_header(text)
    description, sections, prose = parse_header(header, path=path)
    tree = parse_select(query, path=path)
    table = f"{path.parent.name}.{path.stem}"
    partition = sections.get("partition", "whole")
    if partition not in get_args(PartitionKind):
        raise SqlModelError(
            f"{path}: partition {partition!r}", fix=f"write one of {', '.join(get_args(PartitionKind))}"
        )
    model = SqlModel(
        table=table,
        path=path,
        query=query,
        description=description,
        prose=prose,
        grain=words(sections.get("grain", "")),
        partition=cast(PartitionKind, partition),
        lookback_days=parse_lookback(sections.get("lookback"), partition=partition, path=path),
        params=tuple(sorted({str(node.this) for node in tree.find_all(exp.Placeholder)})),
        tests=tuple(parse_test(text) for text in sections.get("tests", "").split(";") if text.strip()),
        columns=parse_columns(sections.get("columns", "")),
        reads=tables_read(tree),
        start=sections.get("start"),
    )
    check_agreement(model, named=tree.named_selects, documented=sections.get("params", ""))
    return model


def split_header(text: str) -> tuple[list[str], str]:
    """The comment lines at the top, without their dashes, and the query below."""
    lines = text.splitlines()
    end = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return [line.removeprefix("--").rstrip() for line in lines[:end]], "\n".join(lines[end:]).strip()


def parse_header(lines: list[str], *, path: Path) -> tuple[str, dict[str, str], str]:
    """Description, sections by key, and the prose below them."""
    return parse_header_text("\n".join(line.removeprefix(" ") for line in lines), where=str(path))


def parse_header_text(text: str, *, where: str) -> tuple[str, dict[str, str], str]:
    """The same of a header that stands by itself."""
    description, _, rest = text.strip().partition("\n\n")
    sections: dict[str, str] = {}
    prose: list[str] = []
    key: str | None = None
    for line in rest.splitlines():
        start = re.match(r"([a-z]+):\s*(.*)", line)
        if start and start[1] in SECTIONS and not prose:
            key = start[1]
            sections[key] = start[2].strip()
        elif key and line.startswith("  "):
            sections[key] = f"{sections[key]}\n{line.strip()}".strip()
        elif line.strip() or prose:
            key = None
            prose.append(line)
    if not description.startswith("One row per"):
        raise SqlModelError(f"{where}: the header does not begin with 'One row per ...'", fix="say the grain in words")
    return " ".join(description.split()), sections, "\n".join(prose).strip()


def parse_lookback(text: str | None, *, partition: str, path: Path) -> int:
    """How many days before its own a `day` model is shown."""
    found = re.fullmatch(r"(\d+) days", text or "0 days")
    if found is None or (text is not None and partition != "day"):
        raise SqlModelError(f"{path}: lookback {text!r}", fix="write e.g. `lookback: 30 days`, with partition day")
    return int(found[1])


def parse_select(query: str, *, path: Path) -> exp.Query:
    """The one select of a file."""
    try:
        statements = sqlglot.parse(query, dialect="duckdb")
    except sqlglot.errors.ParseError as error:
        raise SqlModelError(f"{path}: {error}", fix="mend the query") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SqlModelError(f"{path}: not exactly one select", fix="one file holds one select and nothing else")
    return statements[0]


def tables_read(tree: exp.Query) -> tuple[str, ...]:
    """The tables of the lake that the query reads, by name."""
    return tuple(sorted({f"{table.db}.{table.name}" for table in tree.find_all(exp.Table) if table.db}))


def parse_test(text: str) -> SqlTest:
    """`not_null a, b`, `unique a, b`, or any condition that must not be false on any row."""
    rule = " ".join(text.split())
    kind, _, rest = rule.partition(" ")
    names = [quoted(name) for name in words(rest)]
    name = re.sub(r"[^a-z0-9]+", "_", rule.replace("<", "lt").replace(">", "gt").replace("=", "eq").lower()).strip("_")
    if kind == "not_null":
        condition = " or ".join(f"{name} is null" for name in names)
        return SqlTest(name, f"select count(*) from {{table}} where {condition}")
    if kind == "unique":
        return SqlTest(name, f"select count(*) - count(distinct ({', '.join(names)})) from {{table}}")
    return SqlTest(name, f"select count(*) from {{table}} where not ({rule})")


def parse_columns(text: str) -> dict[str, ColumnDoc]:
    """`name (unit): description` lines."""
    found = re.findall(r"^(\w+)\s*(?:\(([^)]*)\))?:\s*(.+)$", text, flags=re.MULTILINE)
    return {name: ColumnDoc(description=doc.strip(), unit=unit or None) for name, unit, doc in found}


def words(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def check_agreement(model: SqlModel, *, named: list[str], documented: str) -> None:
    """Header and query name the same columns and parameters."""
    undocumented = [name for name in named if name not in model.columns]
    absent = [name for name in model.columns if name not in named]
    if undocumented or absent:
        raise SqlModelError(
            f"{model.path}: columns without a description {undocumented}, described but not selected {absent}",
            fix="let `columns:` name each selected column once",
        )
    described = set(re.findall(r"\$(\w+)", documented))
    if described != set(model.params):
        raise SqlModelError(
            f"{model.path}: params {sorted(described)} described, {list(model.params)} used",
            fix="let `params:` name each bound value once",
        )
    strangers = [name for name in model.grain if name not in model.columns]
    if strangers or not model.grain:
        raise SqlModelError(f"{model.path}: grain {list(model.grain)}", fix="name selected columns as the grain")

"""Which SQL a source mapping may hold: one expression over one row of one file, in DuckDB's dialect."""

from typing import TYPE_CHECKING

from dagster_project.settings.faults import fault

if TYPE_CHECKING:
    from sqlglot import exp

EXAMPLE = 'write one expression over the file\'s columns, e.g. "CustomerID" or "Quantity * UnitPrice"'

# A clock or a die in a mapping would make two runs over the same file differ.
_UNREPEATABLE = frozenset(
    {
        "now",
        "today",
        "current_date",
        "current_time",
        "current_timestamp",
        "get_current_timestamp",
        "localtime",
        "localtimestamp",
        "transaction_timestamp",
        "rand",
        "random",
        "uuid",
        "gen_random_uuid",
        "uuidv4",
        "uuidv7",
        "nextval",
    }
)


def row_expression(text: str) -> str:
    """Return the expression, stripped, if it can stand alone in the select list or the filter of a source.

    Refused, because the mapping of a row may depend on that row alone: subqueries, `from` and other clauses,
    aggregates, window functions, clocks and random numbers. Refused, because the text is put into a larger
    query: several statements or columns, an alias, a star, a comment, a parameter.

    Raises `PydanticCustomError` for any of these and for text that does not parse.
    """
    expression = text.strip()
    if not expression:
        raise fault("is an empty SQL expression", fix=EXAMPLE)
    tree = _parse(expression)
    found = _unwanted(tree)
    if found:
        raise fault(f"holds {found}, which a column mapping must not", fix=EXAMPLE)
    return expression


def _parse(expression: str) -> "exp.Select":
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    # `select` in front, since alone many column names (copy, set, date) would be read as a statement's start.
    try:
        if any(token.comments for token in sqlglot.tokenize(f"select {expression}", dialect="duckdb")):
            raise fault("holds a comment", fix="take the comment out; TOML comments start with #")
        statements = sqlglot.parse(f"select {expression}", dialect="duckdb")
    except SqlglotError as error:
        reason = str(error).splitlines()[0].split(". Line")[0].removesuffix(".")
        raise fault(f"is not a SQL expression ({reason})", fix=EXAMPLE) from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise fault("holds several statements, of which only one may stand here", fix=EXAMPLE)
    return statements[0]


def _unwanted(tree: "exp.Select") -> str | None:
    """Name the first thing that the expression must not hold, if any."""
    from sqlglot import exp

    clauses = sorted(name.rstrip("_") for name, value in tree.args.items() if value and name != "expressions")
    if clauses:
        return f"the clause {clauses[0]}"
    if len(tree.expressions) != 1:
        return "several columns"
    kinds: dict[str, type[exp.Expr] | tuple[type[exp.Expr], ...]] = {
        "a subquery": exp.Query,
        "an alias": exp.Alias,
        "a star": (exp.Star, exp.Columns),
        "a parameter": (exp.Placeholder, exp.Parameter),
        "a window function": exp.Window,
        "an aggregate": exp.AggFunc,
    }
    for node in tree.expressions[0].walk():
        for name, kind in kinds.items():
            if isinstance(node, kind):
                return name
        if isinstance(node, exp.Func) and _function_names(node) & _UNREPEATABLE:
            return "a clock or a random number"
    return None


def _function_names(node: "exp.Func") -> frozenset[str]:
    from sqlglot import exp

    names = [node.name] if isinstance(node, exp.Anonymous) else node.sql_names()
    return frozenset(name.lower() for name in names)

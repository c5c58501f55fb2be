"""Making a user's SQL expression tolerant: a bad value becomes null, and the row says which it was.

In text files every column is text. A column that the expression computes with or compares with a number is
read as a number; every cast and date parser becomes its `try_` form.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Abs, exp.Round)
COMPARISONS = (exp.GT, exp.GTE, exp.LT, exp.LTE, exp.EQ, exp.NEQ, exp.Between)


@dataclass(frozen=True)
class Probe:
    """A conversion inside an expression: a filled `column` for which `sql` is null holds a bad value."""

    column: str
    sql: str


@dataclass(frozen=True)
class Tolerant:
    """`sql`: the rewritten expression. `columns`: what it reads. `probes`: where a bad value would show."""

    sql: str
    columns: tuple[str, ...]
    probes: tuple[Probe, ...]


def tolerant(expression: str, *, text_columns: frozenset[str]) -> Tolerant:
    """The expression with tolerant casts; `text_columns` are the columns of the file that hold text."""
    tree = sqlglot.parse_one(expression, dialect="duckdb")
    columns = tuple(dict.fromkeys(column.name for column in tree.find_all(exp.Column)))
    folded = {name.casefold() for name in text_columns}
    for column in list(tree.find_all(exp.Column)):
        if column.name.casefold() not in folded or not is_computed_with(column):
            continue
        tree = replaced(tree, column, exp.TryCast(this=column.copy(), to=exp.DataType.build("double")))
    # children first: a replaced node is a copy, and what was found below the old one is no longer part of it
    for node in reversed(list(tree.find_all(exp.Cast, exp.StrToTime))):
        tree = replaced(tree, node, forgiving(node))
    return Tolerant(sql=tree.sql("duckdb"), columns=columns, probes=tuple(probes(tree)))


def probes(tree: exp.Expr) -> Iterator[Probe]:
    """Every conversion of a bare column that each row goes through: not those in one branch of a case."""
    for node in tree.find_all(exp.TryCast, exp.Anonymous):
        operand = node.this if isinstance(node, exp.TryCast) else next(iter(node.expressions), None)
        is_parser = isinstance(node, exp.TryCast) or node.name.lower() == "try_strptime"
        if is_parser and isinstance(operand, exp.Column) and node.find_ancestor(exp.Case, exp.If) is None:
            yield Probe(column=operand.sql("duckdb"), sql=node.sql("duckdb"))


def replaced(tree: exp.Expr, node: exp.Expr, new: exp.Expr) -> exp.Expr:
    """The tree with one node exchanged; the new node itself where that node was the root."""
    if node is tree:
        return new
    node.replace(new)
    return tree


def is_computed_with(node: exp.Expr) -> bool:
    """Whether a node is an operand of arithmetic or is compared with a number."""
    parent = node.parent
    if isinstance(parent, exp.Paren):
        return is_computed_with(parent)
    others = [other for other in children(parent) if other is not node] if parent is not None else []
    if isinstance(parent, ARITHMETIC):
        return not any(isinstance(other, exp.Interval) for other in others)
    if isinstance(parent, exp.Coalesce):
        return is_computed_with(parent) or any(is_number(other) for other in others)
    return isinstance(parent, COMPARISONS) and any(is_number(other) for other in others)


def children(node: exp.Expr) -> list[exp.Expr]:
    """The operands of a node, in order."""
    return list(node.iter_expressions())


def is_number(node: exp.Expr) -> bool:
    """A literal number, signed or not, or arithmetic."""
    if isinstance(node, exp.Neg | exp.Paren):
        return is_number(node.this)
    return isinstance(node, ARITHMETIC) or (isinstance(node, exp.Literal) and not node.is_string)


def forgiving(node: exp.Expr) -> exp.Expr:
    """A cast or date parser in the form that gives null instead of an error."""
    if type(node) is exp.Cast:
        return exp.TryCast(this=node.this, to=node.args["to"])
    if isinstance(node, exp.StrToTime):
        return exp.Anonymous(this="try_strptime", expressions=[node.this, node.args["format"]])
    return node

"""Making a user's SQL expression tolerant: a bad value becomes null, and the row says which it was.

In text files every column is text. A column that the expression computes with or compares with a number is
read as a number; every cast and date parser becomes its `try_` form. A `try_` form that the user wrote
stays silent: there null is what the user asked for.
"""

from dataclasses import dataclass

import sqlglot
from sqlglot import exp

ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Abs, exp.Round)
COMPARISONS = (exp.GT, exp.GTE, exp.LT, exp.LTE, exp.EQ, exp.NEQ, exp.Between)
MADE = "made_tolerant"


@dataclass(frozen=True)
class Tolerant:
    """`sql`: the rewritten expression. `columns`: what it reads.

    `bad_text`: SQL for the first text that a conversion could not read on the row's own way through the
    expression (only the branch of a case that is taken), null if there is none; None if nothing is converted.
    """

    sql: str
    columns: tuple[str, ...]
    bad_text: str | None


def tolerant(expression: str, *, text_columns: frozenset[str]) -> Tolerant:
    """The expression with tolerant casts; `text_columns` are the columns of the file that hold text."""
    # `select` in front, since alone many column names (comment, set, copy) would be read as a statement's start
    select = sqlglot.parse_one(f"select {expression}", dialect="duckdb")
    columns = tuple(dict.fromkeys(column.parts[0].name for column in select.find_all(exp.Column)))
    folded = {name.casefold() for name in text_columns}
    for column in list(select.find_all(exp.Column)):
        if column.parts[0].name.casefold() in folded and is_computed_with(column):
            column.replace(made(exp.TryCast(this=column.copy(), to=exp.DataType.build("double"))))
    # children first: what was found below a replaced node is no longer part of the tree
    for node in reversed(list(select.find_all(exp.Cast, exp.StrToTime))):
        node.replace(forgiving(node))
    tree = select.expressions[0]
    return Tolerant(sql=tree.sql("duckdb"), columns=columns, bad_text=bad_text(tree))


def made(node: exp.Expr) -> exp.Expr:
    """The node, marked as a conversion whose failure must be reported."""
    node.meta[MADE] = True
    return node


def bad_text(node: exp.Expr) -> str | None:
    """SQL for the first text below `node` that a conversion could not read; None if nothing is converted."""
    if isinstance(node, exp.Case):
        return bad_text_of_branches(node, list(node.args["ifs"]), node.args.get("default"))
    if isinstance(node, exp.If):
        return bad_text_of_branches(node, [node], node.args.get("false"))
    found = [text for child in children(node) if (text := bad_text(child)) is not None]
    if node.meta.get(MADE) and operand(node).find(exp.Column):
        text = f"cast({operand(node).sql('duckdb')} as varchar)"
        is_filled = f"nullif(trim({text}), '') is not null"
        found.append(f"case when {is_filled} and ({node.sql('duckdb')}) is null then {text} end")
    return first_of(found)


def bad_text_of_branches(node: exp.Expr, branches: list[exp.If], default: exp.Expr | None) -> str | None:
    """The bad text of a case: of its conditions, else of the branch that the row takes."""
    subject = node.this if isinstance(node, exp.Case) else None
    always = [part for part in (subject, *(branch.this for branch in branches)) if part is not None]
    found = [text for part in always if (text := bad_text(part)) is not None]
    results = [bad_text(branch.args["true"]) for branch in branches]
    otherwise = bad_text(default) if default is not None else None
    if otherwise is not None or any(result is not None for result in results):
        whens = " ".join(
            f"when {branch.this.sql('duckdb')} then {result or 'null'}"
            for branch, result in zip(branches, results, strict=True)
        )
        found.append(f"case {subject.sql('duckdb') if subject else ''} {whens} else {otherwise or 'null'} end")
    return first_of(found)


def first_of(texts: list[str]) -> str | None:
    """SQL for the first text that is not null."""
    if len(texts) < 2:
        return next(iter(texts), None)
    return f"coalesce({', '.join(texts)})"


def operand(node: exp.Expr) -> exp.Expr:
    """What a conversion converts."""
    return next(iter(node.expressions)) if isinstance(node, exp.Anonymous) else next(iter(children(node)))


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
        return made(exp.TryCast(this=node.this, to=node.args["to"]))
    if isinstance(node, exp.StrToTime):
        return made(exp.Anonymous(this="try_strptime", expressions=[node.this, node.args["format"]]))
    return node

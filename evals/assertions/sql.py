"""SQL in an answer: whether it parses (sqlglot), and which tables and columns it may touch."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, Maker, invalid, shown
from promptship.evals.assertions.values import object_value
from promptship.evals.score import Judged, Subject, excerpt, yes_or_no

Expression = Any
"""A statement, or a part of one: `sqlglot.exp.Expression`, whose place and bases differ between versions."""

_KEYS: Final = frozenset({"databaseType", "allowedTables", "allowedColumns"})
_DATABASES: Final = {
    "mysql": "mysql", "mariadb": "mysql", "postgresql": "postgres", "postgres": "postgres", "transactsql": "tsql",
    "tsql": "tsql", "bigquery": "bigquery", "sqlite": "sqlite", "snowflake": "snowflake", "redshift": "redshift",
    "hive": "hive", "trino": "trino", "athena": "athena", "spark": "spark", "databricks": "databricks", "duckdb": "duckdb",
    "clickhouse": "clickhouse", "oracle": "oracle", "presto": "presto", "db2": "", "flinksql": "",
}  # fmt: skip
LENGTH_MAX: Final = 100_000
DEPTH_MAX: Final = 50
_COMMANDS: Final = frozenset({"call", "explain", "analyze", "show", "describe", "lock", "unlock", "optimize"})
_NO_SHOW: Final = frozenset({"sqlite", "tsql"})
_MODIFIERS: Final = frozenset({"distinct", "all", "distinctrow", "high_priority", "straight_join"})


class NoSql(ValueError):
    """A text is not SQL of a database."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What statements touch, as `verb::database::table` and `verb::table::column`; what is not said is `null`, `*` is `(.*)`."""

    tables: tuple[str, ...]
    columns: tuple[str, ...]


def parsed(text: str, database: str, *, strict: bool) -> Sequence[Expression]:
    """The statements of a text in a dialect of sqlglot. `strict`: as promptfoo, which takes `a b` for a forgotten comma.

    Raises:
        NoSql: says why, without quoting the text.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    _silence()
    if not text.strip() or len(text) > LENGTH_MAX:
        raise NoSql("it is empty" if not text.strip() else f"it is longer than {LENGTH_MAX} characters")
    if database in _REPLACES:
        text = _REPLACE.sub("INSERT INTO ", text)
    try:
        words = [token.text.lower() for token in sqlglot.tokenize(text, dialect=database)]
        _check_tokens(words, strict=strict)
        found = [statement for statement in sqlglot.parse(text, dialect=database) if statement is not None]
    except (SqlglotError, RecursionError) as error:
        detail = getattr(error, "errors", None) or [{}]
        raise NoSql(f"it does not parse (line {detail[0].get('line', 1)})") from None
    statements = (exp.Query, exp.DML, exp.DDL, exp.Drop, exp.Alter, exp.TruncateTable, exp.Show, exp.Set, exp.Use)  # fmt: skip
    others = (exp.Describe, exp.Grant, exp.Transaction, exp.Commit, exp.Rollback, exp.Pragma, exp.Merge)
    for statement in found:
        if database in _NO_SHOW and words[:1] == ["show"]:
            raise NoSql("the database has no SHOW")
        command = isinstance(statement, exp.Command) and str(statement.this).lower() in _COMMANDS
        if not (command or isinstance(statement, (*statements, *others))):
            raise NoSql("it is no statement")
        if not (command or _is_whole(statement)):
            raise NoSql("a statement is not whole")
    if not found:
        raise NoSql("it has no statement")
    return found


def _is_whole(statement: Expression) -> bool:
    """What sqlglot lets pass: a SELECT of nothing, an INSERT without values, a DELETE of what is no table."""
    from sqlglot import exp

    if any(not select.expressions for select in statement.find_all(exp.Select)):
        return False
    if isinstance(statement, exp.Insert):
        return statement.expression is not None or bool(statement.args.get("default"))
    if isinstance(statement, exp.Update) and not statement.expressions:
        return False
    return not isinstance(statement, exp.Update | exp.Delete) or _target(statement) is not None


_REPLACES: Final = frozenset({"mysql", "sqlite", ""})
_REPLACE: Final = re.compile(r"^\s*replace\s+(?:into\s+)?(?=[\w`])", re.IGNORECASE)


def _silence() -> None:
    """What sqlglot logs quotes the answer."""
    logger = logging.getLogger("sqlglot")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _check_tokens(words: Sequence[str], *, strict: bool) -> None:
    """What sqlglot lets pass: commas without anything between; and levels without end."""
    depth = 0
    for number, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        after = words[number + 1] if number + 1 < len(words) else ""
        if word == "," and (after in {",", ")", "from", "where", ""} or words[number - 1] in {"select", "("}):
            raise NoSql("a comma has nothing beside it")
        if depth > DEPTH_MAX:
            raise NoSql(f"it has more than {DEPTH_MAX} levels")
        if strict and word == "select":
            rest = [item for item in words[number + 1 : number + 8] if item not in _MODIFIERS]
            if rest[2:3] == ["from"] and all(_NAME.fullmatch(item) for item in rest[:2]):
                raise NoSql("a comma seems to be missing between two columns")


_NAME: Final = re.compile(r"[a-z_]\w*", re.ASCII)


def touched(statements: Sequence[Expression]) -> Touched:
    """All tables and columns that statements name. A common table expression counts as a table."""
    tables: dict[str, None] = {}
    columns: dict[str, None] = {}
    for statement in statements:
        tables.update(dict.fromkeys(_tables(statement)))
        columns.update(dict.fromkeys(_columns(statement)))
    return Touched(tuple(tables), tuple(columns))


def _verb(statement: Expression) -> str:
    from sqlglot import exp

    for kind, name in (
        (exp.Insert, "insert"), (exp.Update, "update"), (exp.Delete, "delete"), (exp.Create, "create"),
        (exp.Drop, "drop"), (exp.Alter, "alter"), (exp.TruncateTable, "truncate"), (exp.Use, "use"),
    ):  # fmt: skip
        if isinstance(statement, kind):
            return name
    return "select"


def _target(statement: Expression) -> Expression | None:
    """The table that a statement changes."""
    from sqlglot import exp

    if isinstance(statement, exp.Query):
        return None
    target = statement.this
    if isinstance(statement, exp.TruncateTable | exp.Drop):
        listed = statement.expressions or statement.args.get("tables") or [target]
        target = listed[0]
    if isinstance(target, exp.Schema):
        target = target.this
    return target if isinstance(target, exp.Table) else None


def _tables(statement: Expression) -> Iterator[str]:
    from sqlglot import exp

    target, verb = _target(statement), _verb(statement)
    if isinstance(statement, exp.Show | exp.Use):
        name = statement.this.name if isinstance(statement, exp.Use) else "null"
        yield f"{'use' if isinstance(statement, exp.Use) else 'show'}::{name}::null"
        return
    for table in statement.find_all(exp.Table):
        if table.name:
            yield f"{verb if table is target else 'select'}::{table.db or 'null'}::{table.name}"


def _columns(statement: Expression) -> Iterator[str]:
    from sqlglot import exp

    if isinstance(statement, exp.Set):
        return
    target, verb = _target(statement), _verb(statement)
    names = {table.alias_or_name: table.name for table in statement.find_all(exp.Table)}
    changed: set[int] = set()
    if isinstance(statement, exp.Update):
        for assignment in statement.expressions:
            column = assignment.this
            changed.add(id(column))
            yield f"update::{names.get(column.table, column.table) or 'null'}::{column.name}"
    elif isinstance(statement, exp.Insert) and target is not None:
        listed = statement.this.expressions if isinstance(statement.this, exp.Schema) else []
        for name in [column.name for column in listed] or ["(.*)"]:
            yield f"insert::{target.name}::{name}"
    elif isinstance(statement, exp.Delete) and target is not None:
        yield f"delete::{target.name}::(.*)"
    for definition in statement.find_all(exp.ColumnDef):
        yield f"{'create' if verb in {'create', 'alter'} else verb}::null::{definition.name}"
    for column in statement.find_all(exp.Column):
        if id(column) not in changed:
            name = "(.*)" if isinstance(column.this, exp.Star) else column.name
            yield f"select::{names.get(column.table, column.table) or 'null'}::{name}"
    for select in statement.find_all(exp.Select):
        if any(isinstance(item, exp.Star) for item in select.expressions):
            yield "select::null::(.*)"


# The assertion --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sql:
    """The answer is SQL (or, `anywhere`, a code block of it is), and touches nothing but what it may."""

    database: str
    strict: bool
    tables: tuple[re.Pattern[str], ...] | None
    columns: tuple[re.Pattern[str], ...] | None
    anywhere: bool

    async def judge(self, subject: Subject) -> Judged:
        """Parsed, never run."""
        texts = [subject.output]
        if self.anywhere:
            texts = [text for text in code_blocks(subject.output) if text] or texts
        problem = ""
        for text in texts:
            problem = self._problem(text)
            if not problem:
                return Judged(yes_or_no(True, ""))
        return Judged(yes_or_no(False, f"{problem}: {excerpt(subject.output)}"))

    def _problem(self, text: str) -> str:
        if self.strict and self.database == "mysql" and _SERIES.search(text):
            return "MySQL has no generate_series"
        try:
            found = touched(parsed(text, self.database, strict=self.strict))
        except NoSql as error:
            return f"no SQL: {error}"
        for what, names, allowed in (
            ("tables", found.tables, self.tables),
            ("columns", found.columns, self.columns),
        ):
            others = [name for name in names if not _is_allowed(name, allowed)]
            if others:
                return f"{what} that are not allowed: {', '.join(others)}"
        return ""


def _is_allowed(name: str, allowed: tuple[re.Pattern[str], ...] | None) -> bool:
    return allowed is None or any(pattern.fullmatch(name) for pattern in allowed)


_SERIES: Final = re.compile(r"\bgenerate_series\s*\(", re.IGNORECASE)
_FENCE: Final = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})(?P<info>.*)")


def code_blocks(text: str) -> Iterator[str]:
    """Fenced blocks of Markdown that are marked `sql` or not at all; one without an end is none."""
    opened = ""
    body: list[str] | None = None
    for line in text.splitlines():
        fence = _FENCE.fullmatch(line)
        if not opened:
            if fence:
                opened = fence["fence"]
                body = [] if fence["info"].strip().lower() in {"", "sql"} else None
        elif fence and not fence["info"].strip() and fence["fence"].startswith(opened):
            if body is not None:
                yield "\n".join(body).strip()
            opened = ""
        elif body is not None:
            body.append(line)


def sql_like(*, anywhere: bool) -> Maker:
    """Maker of is-sql and contains-sql; `value`: nothing, or `{databaseType, allowedTables, allowedColumns}`; MySQL without it.

    Allowed are names (`orders`, `shop.orders`, `orders.total`, `*`), or promptfoo's patterns `select::null::orders`.
    """

    def make(spec: AssertionSpec, context: BuildContext) -> Sql:
        strict = context.dialect is Dialect.PROMPTFOO
        value = (
            {}
            if not spec.value or (strict and isinstance(spec.value, list))
            else object_value(spec, context, _KEYS)
        )
        name = str(value.get("databaseType") or "MySQL")
        if name.lower() not in _DATABASES:
            raise invalid(
                "value.databaseType", repr(name), f"expected one of {', '.join(sorted(_DATABASES))}"
            )
        return Sql(
            _DATABASES[name.lower()], strict, _allowed(value, "allowedTables", strict=strict),
            _allowed(value, "allowedColumns", strict=strict), anywhere,
        )  # fmt: skip

    return make


def _allowed(value: dict[str, Any], key: str, *, strict: bool) -> tuple[re.Pattern[str], ...] | None:
    names = value.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid(f"value.{key}", shown(names), "expected a list of names")
    return tuple(
        _pattern(name, key, plain=not strict and "::" not in name)
        for name in [*names, *_without_table(names, key)]
    )


def _without_table(names: list[str], key: str) -> Iterator[str]:
    """A column that may be read of a table may be read where the statement does not say the table."""
    for name in names if key == "allowedColumns" else ():
        parts = name.split("::")
        if len(parts) == 3:  # noqa: PLR2004 - verb, table, column
            yield f"{parts[0]}::null::{parts[2]}"


def _pattern(name: str, key: str, *, plain: bool) -> re.Pattern[str]:
    if plain:
        above, _, last = name.rpartition(".")
        last = r"\(\.\*\)" if last == "*" else re.escape(last)
        above = re.escape(above) if above else ".*?"
        name = f"[a-z]+::(?:{above}{'|null' if key == 'allowedColumns' else ''})::{last}"
    try:
        return re.compile(name, re.IGNORECASE)
    except re.error as error:
        raise invalid(f"value.{key}", repr(name)[:60], f"expected names or patterns: {error}") from None

"""Feedback in the database: every statement is kept, and for units the change of what holds about each request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
from sqlalchemy import Connection, case, text

from promptship.adapters.database import insert_into
from promptship.adapters.telemetry.grouping import Place, UnitGains, bucket_of, unit_keys
from promptship.adapters.telemetry.lines import Columns
from promptship.adapters.telemetry.tables import NO_RELEASE, NO_STAGE, feedback, feedback_kinds

KEY: Final = ("request_id", "kind", "at_ms", "id")
_COUNTED: Final = {"preserve_rowcount": True}
"""SQLAlchemy forgets how many rows an INSERT added unless it is asked to remember."""


def rows_of(said: Columns, width_ms: int) -> list[dict[str, Any]]:
    """Feedback as the table wants it and the unit, ordered by the table's key, each statement once."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    names = (
        "request", "kind", "at_ms", "id", "value", "request_at_ms", "prompt", "version", "arm", "release", "stage", "unit",
    )  # fmt: skip
    for request, kind, at_ms, name, value, request_at_ms, prompt, version, arm, release, stage, unit in zip(
        *(said[column] for column in names), strict=True
    ):
        start_ms, end_ms = bucket_of(request_at_ms, release, width_ms)
        row = {
            "request_id": request, "kind": kind, "at_ms": at_ms, "id": name, "value": value, "request_at_ms": request_at_ms,
            "start_ms": start_ms, "end_ms": end_ms, "prompt": prompt, "version": version, "arm": arm,
            "release_id": NO_RELEASE if release is None else release, "stage": NO_STAGE if stage is None else stage, "unit": unit,
        }  # fmt: skip
        rows.setdefault((request, kind, at_ms, name), row)
    return [rows[key] for key in sorted(rows)]


def add_feedback(
    connection: Connection, rows: Sequence[Mapping[str, Any]]
) -> tuple[int, dict[Place, UnitGains]]:
    """How many statements were new (a replayed line has the key it had), and what units gain by them."""
    if not rows:
        return 0, {}
    gains = _units(rows, _statements(connection, {row["request_id"] for row in rows}))
    inserted = insert_into(connection, feedback).on_conflict_do_nothing()
    values = [{name: value for name, value in row.items() if name != "unit"} for row in rows]
    added = connection.execute(inserted, values, execution_options=_COUNTED).rowcount
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["prompt"], row["kind"])
        first[key] = min(row["at_ms"], first.get(key, row["at_ms"]))
    for (prompt, kind), at_ms in sorted(first.items()):
        seen = insert_into(connection, feedback_kinds).values(prompt=prompt, kind=kind, first_at_ms=at_ms)
        earlier = case(
            (seen.excluded.first_at_ms < feedback_kinds.c.first_at_ms, seen.excluded.first_at_ms),
            else_=feedback_kinds.c.first_at_ms,
        )
        connection.execute(
            seen.on_conflict_do_update(index_elements=["prompt", "kind"], set_={"first_at_ms": earlier})
        )
    return added, gains


def listed(connection: Connection) -> str:
    """SQL of a table with one column `value`, made of the parameter `ids`, a JSON list of strings."""
    if connection.dialect.name == "sqlite":
        return "json_each(:ids)"
    return "json_array_elements_text(CAST(:ids AS json)) AS listed(value)"


def _statements(
    connection: Connection, requests: Iterable[str]
) -> dict[tuple[str, str], tuple[int, str, bool]]:
    """What holds about each request before: (request, kind) -> (at_ms, id, value)."""
    query = f"SELECT request_id, kind, at_ms, id, value FROM feedback WHERE request_id IN (SELECT value FROM {listed(connection)})"  # noqa: S608
    found: dict[tuple[str, str], tuple[int, str, bool]] = {}
    ids = orjson.dumps(sorted(requests)).decode()
    for request, kind, at_ms, name, value in connection.execute(text(query), {"ids": ids}):
        statement = (int(at_ms), str(name), bool(value))
        found[request, kind] = max(statement, found.get((request, kind), statement))
    return found


def _units(
    rows: Sequence[Mapping[str, Any]], before: Mapping[tuple[str, str], tuple[int, str, bool]]
) -> dict[Place, UnitGains]:
    holds = dict(before)
    about: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        key = (row["request_id"], row["kind"])
        statement = (row["at_ms"], row["id"], row["value"])
        holds[key] = max(statement, holds.get(key, statement))
        about[key] = row
    changes: dict[Place, dict[str, dict[str, int]]] = {}
    for key, row in about.items():
        if row["unit"] is None or row["release_id"] == NO_RELEASE:
            continue
        change = int(holds[key][2]) - int(key in before and before[key][2])
        units = changes.setdefault((row["release_id"], row["stage"], row["arm"]), {})
        kinds = units.setdefault(row["unit"], {})
        name = f"feedback:{row['kind']}"
        kinds[name] = kinds.get(name, 0) + change
    return {place: _gains(units) for place, units in changes.items()}


def _gains(units: Mapping[str, Mapping[str, int]]) -> UnitGains:
    keys, index = np.unique(unit_keys(list(units)), return_inverse=True)
    gains: dict[str, Any] = {}
    for at, kinds in zip(index.tolist(), units.values(), strict=True):
        for name, change in kinds.items():
            gains.setdefault(name, np.zeros(len(keys), dtype=np.int64))[at] += change
    return UnitGains(keys, gains)

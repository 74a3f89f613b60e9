"""Answers that were paid for, kept by content address in one SQLite file, for any number of runs and processes at once.

Nothing here ever fails a run: a file that is broken is put aside and begun anew, one that cannot be written is done without;
both are said once in the log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Self

import orjson

from promptship.chat import ChatAnswer

log = logging.getLogger(__name__)

AGE_S_MAX: Final = 30 * 86_400.0
BYTES_MAX: Final = 1 << 30
BATCH: Final = 500
PATIENCE_S: Final = 5.0
"""How long a write waits for another process."""
_PAGES: Final = 400

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS answers (key TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS answers_key ON answers (key);
CREATE INDEX IF NOT EXISTS answers_at ON answers (at);
"""
_FORGOTTEN: Final = frozenset({"cached", "limits"})
_DEFAULTS: Final[Mapping[str, Any]] = {
    one.name: one.default for one in fields(ChatAnswer) if one.name not in _FORGOTTEN
}


class AnswerCache:
    """`promptship.evals.calls.Answers` on disk; `with` or `close` when done. For one event loop, or none.

    Args:
        path: of the file; made with its directory when it is not there.
        age_s_max: older answers are forgotten when the cache is closed.
        bytes_max: beyond it the oldest are forgotten, too.
    """

    def __init__(self, path: Path, *, age_s_max: float = AGE_S_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._path = path
        self._age_s_max = age_s_max
        self._bytes_max = bytes_max
        self._database: sqlite3.Connection | None = None
        self._pending: dict[str, bytes] = {}
        self._flush_is_due = False
        self._mended = False
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def get(self, key: str) -> ChatAnswer | None:
        """The answer kept under `key`, marked `cached`; None: there is none."""
        body = self._pending.get(key)
        if body is None and self._database is not None:
            try:
                found = self._database.execute("SELECT body FROM answers WHERE key = ?", (key,)).fetchone()
            except sqlite3.DatabaseError as error:
                self._mend(error)
                found = None
            body = None if found is None else found[0]
        if body is None:
            return None
        try:
            return _from_json(body)
        except (ValueError, TypeError):
            return None  # of another version, or damaged: asked again, and then overwritten

    def put(self, key: str, answer: ChatAnswer) -> None:
        """Keep an answer; it is on disk at the end of this turn of the event loop. One that JSON cannot hold is not kept."""
        try:
            self._pending[key] = _to_json(answer)
        except TypeError:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if not self._flush_is_due:  # answers that arrive together are written together
            self._flush_is_due = True
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is pending. While another process keeps the file locked for too long, it stays pending."""
        self._flush_is_due = False
        if self._database is None:
            self._pending.clear()
        if not self._pending or self._database is None:
            return
        now = int(time.time())
        rows = [(key, now, body) for key, body in self._pending.items()]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)
        except sqlite3.DatabaseError as error:
            self._mend(error)
        else:
            self._pending.clear()

    def close(self) -> None:
        """Write what is pending, forget what is too old or too much."""
        self.flush()
        self._prune()
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # answers are nobody else's
            self._database = _connected(self._path)
        except (sqlite3.Error, OSError) as error:
            self._mend(error)

    def _mend(self, error: Exception) -> None:
        """Wait for those who hold it; put a broken file aside, once; do without when nothing helps."""
        if self._database is not None and isinstance(error, sqlite3.OperationalError) and _is_busy(error):
            return
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None
        if self._mended or not _is_broken(error):
            log.warning("answers are not kept from here on: %s: %s", self._path, error)
            return
        self._mended = True
        aside = self._path.with_name(f"{self._path.name}.broken")
        log.warning(
            "the cache of answers is broken and begins anew: %s (%s); kept as %s",
            self._path,
            error,
            aside.name,
        )
        with suppress(OSError):
            self._path.replace(aside)
        for ending in ("-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        self._open()

    def _prune(self) -> None:
        if self._database is None:
            return
        try:
            with self._database:
                oldest = int(time.time() - self._age_s_max)
                self._database.execute("DELETE FROM answers WHERE at < ?", (oldest,))
            while _size(self._database) > self._bytes_max:
                with self._database:
                    some = "SELECT rowid FROM answers ORDER BY at, rowid LIMIT ?"
                    gone = self._database.execute(f"DELETE FROM answers WHERE rowid IN ({some})", (BATCH,))  # noqa: S608
                if not gone.rowcount:
                    break
            self._database.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
        except sqlite3.DatabaseError as error:
            self._mend(error)


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=PATIENCE_S)
    try:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _use_wal(database)
        # A power cut may lose the last answers, never the file; what a killed process wrote is not lost.
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA mmap_size = 268435456")
        database.executescript(_TABLES)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _use_wal(database: sqlite3.Connection) -> None:
    """Readers and a writer at the same time. SQLite does not wait for those who switch a new file in the same moment."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _size(database: sqlite3.Connection) -> int:
    """Bytes in use, without free pages."""
    (pages,), (free,), (bytes_,) = (
        database.execute(f"PRAGMA {name}").fetchone()
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * bytes_)


def _is_busy(error: sqlite3.Error) -> bool:
    return (error.sqlite_errorcode & 0xFF) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _is_broken(error: Exception) -> bool:
    """Not a database, damaged, or with other tables than ours."""
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


def _to_json(answer: ChatAnswer) -> bytes:
    """What differs from the default. Raises TypeError for what JSON has no form for."""
    kept = {}
    for name, default in _DEFAULTS.items():
        value = getattr(answer, name)
        if value != default and (value or name != "metadata"):
            kept[name] = value
    return orjson.dumps(kept)


def _from_json(body: bytes) -> ChatAnswer:
    data = orjson.loads(body)
    for name in ("tool_calls", "logprobs"):
        if name in data:
            data[name] = tuple(data[name])
    return ChatAnswer(**data, cached=True)

"""Where the history lies: a directory, or a URL that fsspec understands (`s3://bucket/path` with s3fs installed)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from promptship.errors import ConfigError, Problem, PromptshipError, Unavailable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


TRACEBACK: Final = "Traceback (most recent call last)"
"""How DuckDB tells of an error in a store that it reads by fsspec."""
_OPTIONS: Final[dict[str, dict[str, Any]]] = {"s3": {"config_kwargs": {"retries": {"max_attempts": 1}}}}
"""s3fs asks five times, a little later each time; five more by botocore for each would take most of a minute."""


class Lake:
    """Files that appear whole or not at all. Names are relative, with `/`; which of them count is the manifest's business."""

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/")
        self.is_local = "://" not in place
        self._fs: Any = None

    def address(self, name: str) -> str:
        """As DuckDB reads it."""
        return f"{self.place}/{name}"

    def attach(self, duck: DuckDBPyConnection) -> None:
        """Let DuckDB read a remote history: it needs no extension for that, only fsspec."""
        if not self.is_local:
            duck.register_filesystem(self._filesystem())

    def publish(self, duck: DuckDBPyConnection, select: str, name: str) -> int:
        """Write the rows of a SELECT as one Parquet file, durably; returns its size in bytes.

        Raises:
            Unavailable: the disk is full, or the remote store does not answer.
        """
        with self.told():
            if self.is_local:
                return self._publish_here(duck, select, Path(self.address(name)))
            with tempfile.TemporaryDirectory() as scratch:
                file = Path(scratch) / "rows.parquet"
                _copy(duck, select, file)
                # An object appears with its last byte, and nobody reads it before it is in the manifest.
                self._filesystem().put_file(str(file), self.address(name))
                return file.stat().st_size

    def remove(self, name: str) -> None:
        """Delete a file; one that is gone already is fine."""
        with self.told(), suppress(FileNotFoundError):
            if self.is_local:
                Path(self.address(name)).unlink(missing_ok=True)
            else:
                self._filesystem().rm_file(self.address(name))

    def files(self) -> list[tuple[str, datetime]]:
        """Every file with the time it was written, where the store tells it. Raises Unavailable."""
        with self.told():
            return list(self._found_here() if self.is_local else self._found_there())

    def _found_here(self) -> Iterator[tuple[str, datetime]]:
        root = Path(self.place)
        for path in root.rglob("*"):
            if path.is_file():
                yield path.relative_to(root).as_posix(), datetime.fromtimestamp(path.stat().st_mtime, UTC)

    def _found_there(self) -> Iterator[tuple[str, datetime]]:
        store = self._filesystem()
        store.invalidate_cache()  # others write there too
        root = store._strip_protocol(self.place)  # noqa: SLF001 - fsspec's way to name a path
        for path, facts in store.find(self.place, detail=True).items():
            written = facts.get("LastModified") or facts.get("created")
            if isinstance(written, float):
                written = datetime.fromtimestamp(written, UTC)
            if isinstance(written, datetime):
                yield (
                    path.removeprefix(f"{root}/"),
                    written if written.tzinfo else written.replace(tzinfo=UTC),
                )

    @contextmanager
    def told(self) -> Iterator[None]:
        """What disks and stores raise, also through a DuckDB that reads from them, as `Unavailable`."""
        try:
            yield
        except (PromptshipError, FileNotFoundError):
            raise
        except Exception as error:
            import duckdb

            # Every store's library has errors of its own.
            if self.is_local and not isinstance(error, OSError | duckdb.Error):
                raise
            raise Unavailable(f"history {self.place}: {reason(error)}") from error

    def _publish_here(self, duck: DuckDBPyConnection, select: str, target: Path) -> int:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.parent / f".{uuid4().hex}.tmp"
        try:
            _copy(duck, select, draft)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
        sync_directory(target.parent)
        sync_directory(target.parent.parent)
        return target.stat().st_size

    def _filesystem(self) -> Any:
        if self._fs is None:
            import fsspec  # type: ignore[import-untyped]

            try:
                kind = self.place.partition("://")[0]
                self._fs = fsspec.filesystem(kind, **_OPTIONS.get(kind, {}))
            except (ImportError, ValueError) as error:
                advice = "pip install 'promptship[s3]' for s3://"
                expected = "expected a directory or the URL of a store that fsspec knows"
                raise ConfigError(
                    [Problem("promptship.toml", "telemetry.history", self.place, expected, advice)]
                ) from error
        return self._fs


def reason(error: Exception) -> str:
    """The line that says what happened: DuckDB wraps a store's error in the whole way to it."""
    text = getattr(error, "strerror", None) or str(error)
    lines = text.partition("\n\nLINE ")[0].strip().splitlines()
    last = lines[-1] if lines and lines[0].startswith(TRACEBACK) else lines[0] if lines else ""
    return last.strip() or type(error).__name__


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable, not only contents."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _copy(duck: DuckDBPyConnection, select: str, path: Path) -> None:
    import duckdb

    target = str(path).replace("'", "''")
    try:
        duck.execute(f"COPY ({select}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)").fetchall()
    except duckdb.IOException as error:
        raise OSError(None, str(error).partition("\n")[0]) from error

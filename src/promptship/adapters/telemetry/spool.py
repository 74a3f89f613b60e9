"""Write side of telemetry: one JSON line per record, appended by a single `write` to a file that only this process writes.

A killed process loses nothing it acknowledged (the page cache survives it); a power cut loses at most the last 50 ms. Segments are
named `<writer>-<seq>.jsonl` and are never renamed: a segment is *sealed* when one with a higher seq of the same writer exists,
because the writer leaves a segment before it opens the next one.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import orjson

from promptship.ports import Clock
from promptship.routing.observation import Feedback, Observation, Score

OBSERVATIONS: Final = "observations"
FEEDBACK: Final = "feedback"
SCORES: Final = "scores"
SYNC_SECONDS: Final = 0.05
_log = logging.getLogger(__name__)


class SpoolWriter:
    """Appends observations, feedback and scores to the spool. Thread-safe; make one per process, after any fork.

    Nothing here may break serving: a record that cannot be written is counted in `lost`, and `write` says so.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        writer: str | None = None,
        segment_bytes_max: int = 64 * 1024 * 1024,
        segment_seconds_max: float = 60.0,
    ) -> None:
        # The random part makes a name unique even if two processes are configured with the same one.
        stem = re.sub(r"[^A-Za-z0-9_.]", "_", writer) + "." if writer else ""
        name = stem + uuid4().hex[:16]
        limits = (segment_bytes_max, segment_seconds_max)
        self._observations = _Stream(directory / OBSERVATIONS, name, clock, *limits)
        self._feedback = _Stream(directory / FEEDBACK, name, clock, *limits)
        self._scores = _Stream(directory / SCORES, name, clock, *limits)
        self._streams = (self._observations, self._feedback, self._scores)
        self._stop = threading.Event()
        self._syncer: threading.Thread | None = None
        self._starting = threading.Lock()

    def write(self, record: Observation | Feedback | Score | Mapping[str, Any]) -> bool:
        """Append one record; True once the operating system has it.

        A mapping must have the fields of its model (not checked here: the tick quarantines what does not fit); one with the key
        `kind` is feedback, one with the key `passed` a score.
        """
        fields = record if isinstance(record, Mapping) else record.__dict__
        stream = (
            self._feedback if "kind" in fields else self._scores if "passed" in fields else self._observations
        )
        if self._syncer is None:
            self._start()
        try:
            line = orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:
            return stream.lose("a record that is not JSON")
        return stream.append(line)

    @property
    def lost(self) -> int:
        """Records that could not be written since the start: full disk, permissions, not JSON."""
        return sum(stream.lost for stream in self._streams)

    @property
    def sync_failures(self) -> int:
        """Times that the disk refused to confirm written records; they are still in the file, but may not survive a power cut."""
        return sum(stream.sync_failures for stream in self._streams)

    def maintain(self) -> None:
        """Flush to the disk and leave segments that are too old. The background thread does this every 50 ms."""
        for stream in self._streams:
            stream.maintain()

    def close(self) -> None:
        """Flush and close. Writing afterwards opens new segments."""
        with self._starting:
            syncer, self._syncer = self._syncer, None
        if syncer is not None:
            self._stop.set()
            syncer.join()
        for stream in self._streams:
            stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        with self._starting:
            if self._syncer is None:
                self._stop.clear()
                self._syncer = threading.Thread(
                    target=self._keep_syncing, name="promptship-spool", daemon=True
                )
                self._syncer.start()

    def _keep_syncing(self) -> None:
        while not self._stop.wait(SYNC_SECONDS):
            self.maintain()


class _Stream:
    """The segments of one kind of record. Only `maintain` and `close` close files, so a sync never meets a closed one."""

    def __init__(
        self, directory: Path, writer: str, clock: Clock, bytes_max: int, seconds_max: float
    ) -> None:
        self.lost = 0
        self.sync_failures = 0
        self._directory = directory
        self._writer = writer
        self._clock = clock
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max
        self._lock = threading.Lock()
        self._seq = 0
        self._fd: int | None = None
        self._size = 0
        self._lines = 0
        self._opened_at: datetime | None = None
        self._torn = False
        self._dirty = False
        self._fresh = False
        self._retired: list[int] = []

    def append(self, line: bytes) -> bool:
        with self._lock:
            try:
                if self._size >= self._bytes_max:
                    self._leave()
                fd = self._fd if self._fd is not None else self._open()
                # A torn line must not swallow this one: end it first, in the same write.
                data = b"\n" + line if self._torn else line
                written = os.write(fd, data)
            except OSError as error:
                return self._lose(error.strerror or type(error).__name__)
            self._size += written
            self._dirty = True
            if written == len(data):
                self._torn = False
                self._lines += 1
                return True
            self._torn = self._torn or written > 0
            return self._lose("the disk took only a part of the line")

    def lose(self, why: str) -> bool:
        with self._lock:
            return self._lose(why)

    def maintain(self) -> None:
        with self._lock:
            if self._opened_at is not None and self._age_s() >= self._seconds_max:
                self._leave()
            self._notice_deletion()
            retired, self._retired = self._retired, []
            current = self._fd if self._dirty else None
            fresh, self._fresh, self._dirty = self._fresh, False, False
        for fd in retired:
            self._sync(fd)
            os.close(fd)
        if current is not None:
            self._sync(current)
        if fresh:
            self._sync_directory()

    def close(self) -> None:
        with self._lock:
            self._leave()
        self.maintain()

    def _open(self) -> int:
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{self._writer}-{self._seq:08d}.jsonl"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        self._seq += 1
        self._size = 0
        self._lines = 0
        self._torn = False
        self._fresh = True
        self._opened_at = self._clock.now()
        return self._fd

    def _notice_deletion(self) -> None:
        """Somebody deleted the segment, or its whole directory: what stood in it is lost, and said to be; the next line starts anew."""
        if self._fd is not None and os.fstat(self._fd).st_nlink == 0:
            lines = self._lines
            self._leave()
            self._lose("a spool file that is being written was deleted")
            self.lost += max(0, lines - 1)

    def _leave(self) -> None:
        """Stop writing to the current segment; `maintain` syncs and closes it."""
        if self._fd is not None:
            self._retired.append(self._fd)
        self._fd, self._opened_at, self._size = None, None, 0

    def _age_s(self) -> float:
        return 0.0 if self._opened_at is None else (self._clock.now() - self._opened_at).total_seconds()

    def _lose(self, why: str) -> bool:
        if (
            self.lost == 0
        ):  # Once: a full disk at a thousand requests per second must not fill the logs as well.
            _log.error("telemetry is being lost, see the count of lost records: %s", why)
        self.lost += 1
        return False

    def _sync(self, fd: int) -> None:
        try:
            os.fdatasync(fd)
        except OSError:
            self.sync_failures += 1

    def _sync_directory(self) -> None:
        """Make the new segment's name durable, not only its content."""
        try:
            fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError:
            self.sync_failures += 1

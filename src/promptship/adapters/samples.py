"""Answers on their way to the scorer: small files that are written whole, read once and deleted.

They hold what users wrote, so the directory is for its owner only. A file appears by a rename, complete, and is named by the time
it was written; it goes when its answers are scored, or when it is too old, whoever notices first.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson
from pydantic import ValidationError

from promptship.routing.sampling import Sample

_log = logging.getLogger(__name__)

SAMPLE_BYTES_MAX: Final = 4_000_000
"""A longer question and answer are not handed on."""
QUEUE_BYTES_MAX: Final = 32_000_000
BATCH_BYTES_MAX: Final = 1_000_000
FLUSH_S: Final = 0.2
_TIDY_S: Final = 2.0
_DRAFT_S_MAX: Final = 60.0
_NAME: Final = re.compile(r"(\d{13})-[0-9a-f]{16}-\d{8}\.jsonl")


def private(directory: Path) -> None:
    """Make a directory that only its owner can look into. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


class SampleWriter:
    """Takes answers from the request path without ever waiting: a thread writes them; what does not fit is counted in `dropped`.

    Args:
        directory: where the files go.
        spool_bytes_max: with more than this on the disk (nobody scores) answers are dropped.
        age_s_max: a file that lies there longer is deleted unscored.
    """

    def __init__(self, directory: Path, *, spool_bytes_max: int, age_s_max: float) -> None:
        self._directory = directory
        self._spool_bytes_max = spool_bytes_max
        self._age_s_max = age_s_max
        self._name = uuid4().hex[:16]
        self._seq = 0
        self._queue: deque[tuple[Mapping[str, Any], int]] = deque()
        self._queued_bytes = 0
        self._spool_bytes = 0
        self._tidied_at = float("-inf")
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.dropped = 0
        """Answers that were drawn and not handed on: too long, too many at once, no room, a disk that refuses."""

    def offer(self, sample: Mapping[str, Any], bytes_: int) -> None:
        """Hand on one answer, as the fields of `Sample`, of about that many bytes."""
        with self._lock:
            if bytes_ > SAMPLE_BYTES_MAX or self._queued_bytes + bytes_ > QUEUE_BYTES_MAX:
                self.dropped += 1
                return
            self._queue.append((sample, bytes_))
            self._queued_bytes += bytes_
        if self._thread is None:
            self._start()
        elif self._queued_bytes >= BATCH_BYTES_MAX:
            self._wake.set()

    def close(self) -> None:
        """Write what is queued, and stop."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._flush()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._keep_writing, name="promptship-samples", daemon=True
                )
                self._thread.start()

    def _keep_writing(self) -> None:
        while not self._closed:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            try:
                self._flush()
            except Exception as error:  # noqa: BLE001 - without the thread every later answer would be lost
                self._drop(1, type(error).__name__)

    def _flush(self) -> None:
        self._tidy()
        while taken := self._taken():
            lines = []
            for sample, _ in taken:
                try:
                    lines.append(orjson.dumps(sample, option=orjson.OPT_APPEND_NEWLINE))
                except TypeError:
                    self._drop(1, "an answer that is not JSON")
            if lines and not self._write(b"".join(lines)):
                self._drop(len(lines), "no room")

    def _taken(self) -> list[tuple[Mapping[str, Any], int]]:
        taken, size = [], 0
        with self._lock:
            while self._queue and size < BATCH_BYTES_MAX:
                taken.append(self._queue.popleft())
                size += taken[-1][1]
            self._queued_bytes -= size
        return taken

    def _write(self, data: bytes) -> bool:
        if self._spool_bytes + len(data) > self._spool_bytes_max:
            return False
        path = self._directory / f"{int(time.time() * 1000):013d}-{self._name}-{self._seq:08d}.jsonl"
        draft = path.with_name(f".{path.name}")
        self._seq += 1
        try:
            private(self._directory)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            draft.rename(path)
        except OSError:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            return False
        self._spool_bytes += len(data)
        return True

    def _drop(self, count: int, why: str) -> None:
        with self._lock:
            is_first = self.dropped == 0
            self.dropped += count
        if is_first:  # not under the lock: the request path takes it
            _log.warning("answers are not handed on to be scored (%s): see samples_dropped of /healthz", why)

    def _tidy(self) -> None:
        """Count what lies there, and delete what nobody scored in time."""
        now = time.monotonic()
        if now - self._tidied_at < _TIDY_S:
            return
        self._tidied_at = now
        oldest = time.time() - self._age_s_max
        total = 0
        try:
            for entry in os.scandir(self._directory):
                found = entry.stat()
                if found.st_mtime < oldest and entry.name.endswith(".jsonl"):
                    Path(entry.path).unlink(missing_ok=True)
                else:
                    total += found.st_size
        except OSError:
            pass  # not there yet, or a file that the scorer has just deleted: the next count is right again
        else:
            self._spool_bytes = total


class SampleFile:
    """One file of answers, and beside it which of them are done: a scorer that starts again repeats at most what was under way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._beside = path.with_suffix(".done")
        self._descriptor: int | None = None

    @property
    def at_ms(self) -> int:
        """When it was written."""
        found = _NAME.fullmatch(self.path.name)
        return int(found[1]) if found else 0

    def read(self) -> tuple[list[Sample], int]:
        """Its answers, and how many lines were none. Raises OSError."""
        samples, bad = [], 0
        for line in self.path.read_bytes().splitlines():
            try:
                samples.append(Sample.model_validate_json(line))
            except ValidationError:
                bad += 1
        return samples, bad

    def done(self) -> list[str]:
        """What `note` wrote, in whole lines. Raises OSError."""
        try:
            text = self._beside.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return text.split("\n")[:-1]

    def note(self, line: str) -> None:
        """Remember that something is done; no text of the answer. Raises OSError."""
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._descriptor = os.open(self._beside, flags, 0o600)
        os.write(self._descriptor, f"{line}\n".encode())

    def remove(self) -> None:
        """Delete both; the answers first, so that nothing is done twice if this is cut short."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self.path.unlink(missing_ok=True)
        self._beside.unlink(missing_ok=True)


def waiting(directory: Path) -> Iterator[SampleFile]:
    """Files of answers, oldest first. Notes without a file, and drafts of writers that died, are deleted on the way."""
    try:
        paths = sorted(directory.iterdir())
    except FileNotFoundError:
        return
    known = {path.name for path in paths}
    for path in paths:
        if _NAME.fullmatch(path.name):
            yield SampleFile(path)
        elif _is_left_over(path, known):
            path.unlink(missing_ok=True)


def _is_left_over(path: Path, known: Collection[str]) -> bool:
    if path.suffix == ".done":
        return path.with_suffix(".jsonl").name not in known
    return (
        path.name.startswith(".")
        and path.suffix == ".jsonl"
        and _changed_at(path) < time.time() - _DRAFT_S_MAX
    )


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")

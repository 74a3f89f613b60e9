"""Read side of the spool: slices of segments from a committed offset to the last newline, in bounded bites."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from promptship.adapters.telemetry.spool import FEEDBACK, OBSERVATIONS, SCORES

SLICE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Most of one file that is read at a time; also the longest line that can be a record."""
BATCH_BYTES_MAX: Final = 16 * 1024 * 1024
"""Most that one transaction takes in."""
STREAMS: Final = (FEEDBACK, SCORES, OBSERVATIONS)
"""Observations last: what is read of the others then belongs to requests whose observations are already written."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A line that is not a record. Its content is not kept: it may hold anything."""

    file: str
    start_byte: int
    length_bytes: int
    sha256: str
    reason: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A spool file. `sealed`: its writer has gone on to another one, so it never grows again."""

    file: str
    path: Path
    sealed: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """Whole lines of one file, `start` to `end`. `known`: the offset comes from the ledger; False: a file never read before."""

    file: str
    start: int
    end: int
    data: bytes
    done: bool
    known: bool
    bad: tuple[Bad, ...] = ()


def segments(spool: Path, stream: str) -> list[Segment]:
    """Spool files of a stream, sorted by name; empty when there is no directory yet."""
    try:
        names = sorted(entry.name for entry in os.scandir(spool / stream) if entry.name.endswith(".jsonl"))
    except FileNotFoundError:
        return []
    last: dict[str, int] = {}
    for name in names:
        writer, seq = _identity(name)
        last[writer] = max(seq, last.get(writer, 0))
    return [
        Segment(f"{stream}/{name}", spool / stream / name, _identity(name)[1] < last[_identity(name)[0]])
        for name in names
    ]


def slices(
    spool: Path,
    stream: str,
    offsets: Mapping[str, int],
    finished: Collection[str],
    *,
    bytes_max: int = BATCH_BYTES_MAX,
) -> Iterator[Slice]:
    """What there is to take in, at most `bytes_max` plus one slice, at most one slice per file. Finished files are not touched."""
    taken = 0
    for segment in segments(spool, stream):
        if taken >= bytes_max:
            return
        if segment.file in finished:
            continue
        found = _slice(segment, offsets.get(segment.file))
        if found is not None:
            taken += found.end - found.start
            yield found


def tails(spool: Path, stream: str, *, bytes_max: int) -> list[Slice]:
    """The newest whole lines of a stream, whether taken in or not: ends of the files written to last, newest file first."""
    found = []
    newest = sorted(
        ((_mtime(segment.path), segment) for segment in segments(spool, stream)), key=lambda pair: -pair[0]
    )
    for _, segment in newest:
        if bytes_max <= 0:
            break
        try:
            with segment.path.open("rb") as file:
                start = max(0, os.fstat(file.fileno()).st_size - bytes_max)
                file.seek(start)
                data = file.read(bytes_max)
        except FileNotFoundError:
            continue
        skipped = data.find(b"\n") + 1 if start else 0
        data = data[skipped : data.rfind(b"\n") + 1]
        found.append(
            Slice(segment.file, start + skipped, start + skipped + len(data), data, done=False, known=True)
        )
        bytes_max -= len(data)
    return found


def whole(name: str, path: Path, end: int) -> Iterator[Slice]:
    """All lines of a segment up to a byte where one ends, in bites; lines too long to be a record are left out."""
    start, rest = 0, b""
    with path.open("rb") as file:
        while start < end:
            data = rest + file.read(min(SLICE_BYTES_MAX, end - start - len(rest)))
            cut = data.rfind(b"\n") + 1
            if not cut:
                if start + len(data) >= end:
                    return
                rest = data
                continue
            yield Slice(name, start, start + cut, data[:cut], done=False, known=True)
            start, rest = start + cut, data[cut:]


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def unread_bytes(spool: Path, offsets: Mapping[str, int], finished: Collection[str]) -> int:
    """Bytes behind the committed offsets, up to one line per file too many: unfinished last lines are not told apart."""
    total = 0
    for stream in STREAMS:
        for segment in segments(spool, stream):
            if segment.file not in finished:
                size = segment.path.stat().st_size if segment.path.exists() else 0
                total += max(0, size - offsets.get(segment.file, 0))
    return total


def sizes(spool: Path) -> dict[str, int]:
    """Length in bytes of every spool file now."""
    found = (segment for stream in STREAMS for segment in segments(spool, stream))
    return {segment.file: segment.path.stat().st_size for segment in found if segment.path.exists()}


def lines_at(taken: list[Slice], numbers: Mapping[int, str]) -> Iterator[Bad]:
    """The bad lines behind 1-based line numbers of the slices' joined data, with the reason of each."""
    first = 1
    for piece in taken if numbers else ():
        lines = piece.data.split(b"\n")[:-1]
        offset = piece.start
        for number, line in enumerate(lines, first):
            if number in numbers:
                yield Bad(piece.file, offset, len(line), hashlib.sha256(line).hexdigest(), numbers[number])
            offset += len(line) + 1
        first += len(lines)


def _identity(name: str) -> tuple[str, int]:
    """Writer and seq; a file that is not named like a segment is its own writer and never sealed."""
    matched = re.fullmatch(r"(.+)-([0-9]{1,18})\.jsonl", name)
    return (matched[1], int(matched[2])) if matched else (name, 0)


def _slice(segment: Segment, offset: int | None) -> Slice | None:
    start = offset or 0
    try:
        file = segment.path.open("rb")
    except FileNotFoundError:  # compacted a moment ago
        return None
    with file:
        size = os.fstat(file.fileno()).st_size
        file.seek(start)
        # Not more than there is: memory for a whole slice costs four times as much as reading the usual one.
        data = file.read(min(SLICE_BYTES_MAX, max(0, size - start)))
        cut = data.rfind(b"\n") + 1
        bad: tuple[Bad, ...] = ()
        end = start + cut
        # Less than a whole slice without a newline is a line that is being written, unless nobody writes here any more.
        if data and not cut and (segment.sealed or len(data) == SLICE_BYTES_MAX):
            end, bad = _without_newline(segment, file, start)
        done = segment.sealed and end >= size
        if end == start and not done:
            return None
    return Slice(segment.file, start, end, data[:cut], done, offset is not None, bad)


def _without_newline(segment: Segment, file: BinaryIO, start: int) -> tuple[int, tuple[Bad, ...]]:
    """Step over a line that is too long to be a record, or that a power cut left unfinished at the end of a sealed segment."""
    file.seek(start)
    digest = hashlib.sha256()
    length = 0
    ended = False
    while not ended and (chunk := file.read(SLICE_BYTES_MAX)):
        line, newline, _ = chunk.partition(b"\n")
        digest.update(line)
        length += len(line)
        ended = bool(newline)
    if not ended and not segment.sealed:
        return start, ()
    reason = (
        f"longer than {SLICE_BYTES_MAX} bytes" if ended else "unfinished line at the end of a sealed segment"
    )
    return start + length + ended, (Bad(segment.file, start, length, digest.hexdigest(), reason),)

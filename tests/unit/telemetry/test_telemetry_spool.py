"""The spool writer: one line per record, segments, and what happens when the disk does not want any more."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from promptship.adapters.telemetry import SpoolWriter
from tests.support.ledger_stores import HandClock
from tests.support.telemetry import said, served


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def files(spool: Path, stream: str = "observations") -> list[Path]:
    return sorted((spool / stream).glob("*"))


def lines(spool: Path, stream: str = "observations") -> list[bytes]:
    return [line for path in files(spool, stream) for line in path.read_bytes().splitlines()]


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The kernel then takes only a part of a line, and later nothing, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_each_record_is_one_line_in_the_file_of_its_kind(tmp_path: Path, clock: HandClock) -> None:
    row = served(1)
    words = said(row, 1)
    with SpoolWriter(tmp_path, clock=clock) as writer:
        assert writer.write(row)
        assert writer.write(row.model_dump())
        assert writer.write(words)
        assert writer.write(words.model_dump())

    assert [json.loads(line) for line in lines(tmp_path)] == [row.model_dump()] * 2
    assert [json.loads(line) for line in lines(tmp_path, "feedback")] == [words.model_dump()] * 2
    assert writer.lost == 0


def test_a_record_is_in_the_file_before_write_returns(tmp_path: Path, clock: HandClock) -> None:
    with SpoolWriter(tmp_path, clock=clock) as writer:
        for number in range(1, 4):
            writer.write(served(number))
            assert len(lines(tmp_path)) == number


def test_two_writers_of_one_name_never_share_a_file(tmp_path: Path, clock: HandClock) -> None:
    with (
        SpoolWriter(tmp_path, clock=clock, writer="gate/way 1") as one,
        SpoolWriter(tmp_path, clock=clock, writer="gate/way 1") as two,
    ):
        one.write(served(1))
        two.write(served(2))

    names = [path.name for path in files(tmp_path)]
    assert len(names) == 2
    assert all(name.startswith("gate_way_1.") and name.endswith("-00000000.jsonl") for name in names)


def test_a_full_segment_is_followed_by_the_next_one(tmp_path: Path, clock: HandClock) -> None:
    size = len(served(1).model_dump_json())
    with SpoolWriter(tmp_path, clock=clock, segment_bytes_max=2 * size) as writer:
        for number in range(5):
            writer.write(served(number))

    assert [len(path.read_bytes().splitlines()) for path in files(tmp_path)] == [2, 2, 1]
    assert [path.name[-10:] for path in files(tmp_path)] == ["0000.jsonl", "0001.jsonl", "0002.jsonl"]


def test_an_old_segment_is_left_even_without_traffic(tmp_path: Path, clock: HandClock) -> None:
    with SpoolWriter(tmp_path, clock=clock, segment_seconds_max=60) as writer:
        writer.write(served(1))
        clock.turn(seconds=59.9)
        writer.maintain()
        writer.write(served(2))
        clock.turn(seconds=0.1)
        writer.maintain()
        assert len(files(tmp_path)) == 1, "the next one is made when it is needed"
        writer.write(served(3))

    assert [len(path.read_bytes().splitlines()) for path in files(tmp_path)] == [2, 1]


def test_a_full_disk_loses_rows_counts_them_and_does_not_raise(tmp_path: Path, clock: HandClock) -> None:
    row = served(1)
    size = len(row.model_dump_json()) + 1
    with SpoolWriter(tmp_path, clock=clock) as writer:
        assert writer.write(row)
        with files_no_larger_than(size + 100):
            assert not writer.write(served(2)), "only 100 bytes of it fit"
            assert not writer.write(served(3)), "nothing of it fits"
            assert not writer.write(served(4))
        assert writer.lost == 3
        assert writer.write(served(5)), "there is room again"
        assert writer.write(served(6))

    found = lines(tmp_path)
    assert len(found) == 4
    assert len(found[1]) == 100, "the torn line stands alone and swallows nobody"
    assert [json.loads(line)["latency_ms"] for line in (found[0], *found[2:])] == [100.0] * 3


def test_a_directory_that_cannot_be_made_is_tried_again(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "spool").write_text("a file in the way")
    with SpoolWriter(tmp_path / "spool", clock=clock) as writer:
        assert not writer.write(served(1))
        assert not writer.write(said(served(1), 1))
        assert writer.lost == 2
        (tmp_path / "spool").unlink()
        assert writer.write(served(2))

    assert len(lines(tmp_path / "spool")) == 1


def test_what_is_not_json_is_lost_and_counted(tmp_path: Path, clock: HandClock) -> None:
    with SpoolWriter(tmp_path, clock=clock) as writer:
        assert not writer.write({"id": object()})
        assert not writer.write({"kind": {1, 2}})

    assert writer.lost == 2


def test_close_may_be_called_twice_and_writing_goes_on_in_a_new_segment(
    tmp_path: Path, clock: HandClock
) -> None:
    writer = SpoolWriter(tmp_path, clock=clock)
    writer.write(served(1))
    writer.close()
    writer.close()
    writer.write(served(2))
    writer.close()

    assert [len(path.read_bytes().splitlines()) for path in files(tmp_path)] == [1, 1]

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.adapters.answer_cache import AnswerCache
from promptship.chat import ChatAnswer, RateLimits

ANSWER = ChatAnswer(
    text="hello", tool_calls=({"id": "c"},), finish_reason="stop", model="m", fingerprint="fp", tokens_in=1, tokens_out=2,
    tokens_cached=1, cost_usd=0.1, latency_ms=5.0, value={"a": [1]}, logprobs=(-0.5,), flagged={"input": False},
    metadata={"trace": 1}, limits=RateLimits(requests_left=3),
)  # fmt: skip


def as_kept(answer: ChatAnswer) -> ChatAnswer:
    fields = {name: getattr(answer, name) for name in ChatAnswer.__dataclass_fields__}
    return ChatAnswer(**{**fields, "cached": True, "limits": None})


def test_an_answer_comes_back_as_it_was_marked_and_without_the_limits_of_its_day(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.sqlite"
    with AnswerCache(path) as cache:
        assert cache.get("k") is None
        cache.put("k", ANSWER)
        assert cache.get("k") == as_kept(ANSWER)
    with AnswerCache(path) as cache:
        assert cache.get("k") == as_kept(ANSWER)
        cache.put("k", ChatAnswer(text="newer"))
        assert cache.get("k") == ChatAnswer(text="newer", cached=True)
    assert path.stat().st_mode & 0o077 == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
answers = st.builds(
    ChatAnswer, text=st.text(), finish_reason=st.text(), tokens_in=st.none() | st.integers(0, 2**40), value=json_values,
    cost_usd=st.none() | st.floats(0, 10), latency_ms=st.floats(0, 1e6),
    logprobs=st.lists(st.floats(-50, 0)).map(tuple), metadata=st.dictionaries(st.text(), json_values, max_size=2),
    flagged=st.none() | st.dictionaries(st.sampled_from(["input", "output"]), st.booleans()),
)  # fmt: skip


@given(answer=answers)
def test_any_answer_survives(answer: ChatAnswer, tmp_path_factory: pytest.TempPathFactory) -> None:
    with AnswerCache(tmp_path_factory.getbasetemp() / "any.sqlite") as cache:
        cache.put("k", answer)
        assert cache.get("k") == as_kept(answer)


async def test_in_an_event_loop_answers_are_on_disk_one_turn_later(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    cache = AnswerCache(path)
    for key in "abc":
        cache.put(key, ANSWER)
        assert cache.get(key) is not None
    await asyncio.sleep(0)
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM answers").fetchone() == (3,)
    other.close()
    cache.close()


def test_what_json_cannot_hold_is_not_kept(tmp_path: Path) -> None:
    with AnswerCache(tmp_path / "a.sqlite") as cache:
        cache.put("k", ChatAnswer(text="", metadata={"odd": object()}))
        assert cache.get("k") is None


@pytest.mark.parametrize("content", [b"this is no database" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_broken_file_is_put_aside_and_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING), AnswerCache(path) as cache:
        cache.put("k", ANSWER)
        assert cache.get("k") is not None
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "the cache of answers is broken and begins anew"
    ]
    assert (tmp_path / "a.sqlite.broken").read_bytes() == content
    with AnswerCache(path) as cache:
        assert cache.get("k") is not None


def test_a_file_that_breaks_while_it_is_used_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with AnswerCache(path) as cache:
        for number in range(500):
            cache.put(f"k{number}", ChatAnswer(text="x" * 500))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with AnswerCache(path) as cache:
        for number in range(500):
            cache.get(f"k{number}")
        cache.put("new", ANSWER)
        assert cache.get("new") is not None


def test_a_place_that_cannot_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no directory")
    with caplog.at_level(logging.WARNING), AnswerCache(tmp_path / "file" / "a.sqlite") as cache:
        cache.put("k", ANSWER)
        cache.get("k")
    assert "answers are not kept from here on" in caplog.text


def test_too_old_and_too_much_is_forgotten_the_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with AnswerCache(path) as cache:
        for number in range(3000):
            cache._pending[f"k{number}"] = b'{"text":"' + b"x" * 1000 + b'"}'
        cache.flush()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE answers SET at = at - 100 WHERE key < 'k1'")
        other.execute("UPDATE answers SET at = ? WHERE key = 'k2'", (int(time.time()) - 3000,))
    other.close()
    with AnswerCache(path, age_s_max=2000.0) as cache:
        assert cache.get("k2") is not None
    with AnswerCache(path, bytes_max=1_000_000) as cache:
        assert cache.get("k2") is None
        assert cache.get("k2999") is not None
    with AnswerCache(path) as cache:
        kept = [number for number in range(3000) if cache.get(f"k{number}") is not None]
    assert 100 < len(kept) < 1200
    assert kept[-1] == 2999
    assert 0 not in kept


WRITE_MANY = """
import sys
from pathlib import Path
from promptship.adapters.answer_cache import AnswerCache
from promptship.chat import ChatAnswer

with AnswerCache(Path(sys.argv[1])) as cache:
    for number in range(50):
        cache.put(f"{sys.argv[2]}-{number}", ChatAnswer(text=str(number)))
"""


def test_several_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_MANY, path, str(who)], stderr=subprocess.PIPE, text=True
        )
        for who in range(4)
    ]
    said = [process.communicate()[1] for process in processes]
    assert said == [""] * 4
    assert [process.returncode for process in processes] == [0] * 4
    with AnswerCache(path) as cache:
        assert all(cache.get(f"{who}-{number}") is not None for who in range(4) for number in range(50))

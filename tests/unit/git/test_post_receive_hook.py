"""The hook: what is sent, how it is signed, and that it never spoils a push."""

import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.adapters.hooks import (
    AGE_S_MAX,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Push,
    announce,
    install_post_receive,
    push_payload,
    sign,
    verify,
)
from promptship.errors import ConfigError, Refused
from tests.support.repositories import ENVIRONMENT, GitMaker, git
from tests.support.standin import Said, stand_in

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
A, B, ZEROS = "a" * 40, "b" * 40, "0" * 40
PUSH = Push(A, B, "refs/heads/main")


def accepted(secret: bytes, headers: dict[str, str], body: bytes, now: datetime) -> bool:
    try:
        verify(secret, headers, body, now)
    except Refused:
        return False
    return True


@settings(max_examples=100)
@given(
    body=st.binary(max_size=50), other=st.binary(max_size=50), key=st.binary(min_size=1, max_size=9),
    wrong=st.binary(min_size=1, max_size=9), age_s=st.integers(-2 * AGE_S_MAX, 2 * AGE_S_MAX),
)  # fmt: skip
def test_accepts_exactly_the_signed_body_with_the_right_key_while_fresh(
    body: bytes, other: bytes, key: bytes, wrong: bytes, age_s: int
) -> None:
    headers = sign(key, body, NOW - timedelta(seconds=age_s))
    fresh = abs(age_s) <= AGE_S_MAX
    assert accepted(key, headers, body, NOW) == fresh
    assert accepted(key, headers, other, NOW) == (fresh and other == body)
    same_key = wrong.ljust(64, b"\0") == key.ljust(64, b"\0")  # HMAC pads keys with zeros
    assert accepted(wrong, headers, body, NOW) == (fresh and same_key)


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1e9", "\uff11\uff12", " 1", "1" * 40, "nan"])
def test_a_timestamp_that_is_no_number_is_refused(timestamp: str) -> None:
    headers = {**sign(b"k", b"body", NOW), TIMESTAMP_HEADER: timestamp}
    assert not accepted(b"k", headers, b"body", NOW)


@pytest.mark.parametrize("signature", ["", "sha256=", "é", "sha1=abc", "\ud800"])
def test_a_signature_of_another_form_is_refused(signature: str) -> None:
    headers = {**sign(b"k", b"body", NOW), SIGNATURE_HEADER: signature}
    assert not accepted(b"k", headers, b"body", NOW)


def test_a_fresh_timestamp_does_not_renew_an_old_signature() -> None:
    headers = {**sign(b"k", b"body", NOW - timedelta(days=1)), TIMESTAMP_HEADER: str(int(NOW.timestamp()))}
    assert not accepted(b"k", headers, b"body", NOW)


def test_reads_what_git_feeds_a_hook() -> None:
    lines = [f"{A} {B} refs/heads/main\n", "\n", f"{ZEROS} {A} refs/heads/ü\n", f"{A} {ZEROS} refs/tags/v1\n"]
    assert push_payload(lines) == [PUSH, Push(ZEROS, A, "refs/heads/ü"), Push(A, ZEROS, "refs/tags/v1")]
    assert [push.deleted for push in push_payload(lines)] == [False, False, True]


def test_names_every_line_that_is_not_a_push() -> None:
    with pytest.raises(ConfigError) as caught:
        push_payload(["", "nonsense", f"{A} {B}", f"{A} {B[:-1]} r", f"{A} {B} r"])
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4]


def test_announces_signed_and_tells_what_was_opened() -> None:
    releases = [
        {"id": "r-1", "prompt": "support", "created": True},
        {"id": "r-0", "prompt": "refund", "created": False},
    ]
    with stand_in(lambda _: Said(202, {"releases": releases, "url": "http://plane"})) as server:
        told = announce(server.url + "/", b"key", PUSH, now=NOW)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/hooks/git")
    assert asked.json == {"before": A, "after": B, "ref": "refs/heads/main"}
    verify(b"key", httpx.Headers(asked.headers), asked.body, NOW)
    assert told == [
        "promptship: support: opened release r-1",
        "promptship: refund: already has release r-0",
        "promptship: watch them at http://plane",
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Said(202, {"releases": [], "ignored": "only main is released"}), "only main is released"),
        (Said(202, {"releases": []}), "nothing is released"),
        (
            Said(401, {"error": {"type": "Unauthorized", "message": "wrong key"}}),
            r"nothing was opened \(401\): wrong key",
        ),
        (Said(503, {"error": "odd"}), "nothing was opened"),
        (Said(200, b"<html>"), "not as a control plane does"),
        (Said(202, ["odd"]), "nothing is released"),
    ],
)
def test_tells_why_nothing_was_opened(said: Said, told: str) -> None:
    with stand_in(lambda _: said) as server:
        (line,) = announce(server.url, b"key", PUSH, now=NOW)
    assert re.search(told, line)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://"])
def test_a_control_plane_that_is_not_there_does_not_raise(url: str) -> None:
    (line,) = announce(url, b"key", PUSH, now=NOW)
    assert "your push is stored" in line
    assert "does not answer" in line
    assert "`promptship release open <prompt>`" in line


@pytest.fixture(params=[True, False], ids=["bare", "working copy"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = GitMaker(tmp_path / "the repo", bare=request.param).path
    git(path, "config", "receive.denyCurrentBranch", "ignore")
    return path


def pushed(repository: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    source = GitMaker(tmp_path / "source", bare=False)
    source.commit({"a": b"1"})
    return subprocess.run(
        ["git", "-C", str(source.path), "push", str(repository), "main"],
        env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_push_runs_the_hook_and_shows_what_it_says(repository: Path, tmp_path: Path) -> None:
    program = tmp_path / "said.py"
    program.write_text("import sys; print('heard', sys.argv[1:], sys.stdin.read().split()[2])")
    config = tmp_path / "it's here" / "promptship.toml"
    hook = install_post_receive(repository, command=shlex.join([sys.executable, str(program)]), config=config)
    assert hook.name == "post-receive"
    done = pushed(repository, tmp_path)
    assert done.returncode == 0
    assert f"remote: heard {['hook', 'post-receive', '--config', str(config)]} refs/heads/main" in done.stderr


def test_a_push_succeeds_although_the_command_is_gone(repository: Path, tmp_path: Path) -> None:
    install_post_receive(repository, command="/nowhere/python -m promptship.cli", config=tmp_path / "p.toml")
    done = pushed(repository, tmp_path)
    assert done.returncode == 0
    assert "remote: promptship: the push is stored, but no release was opened" in done.stderr
    assert git(repository, "rev-parse", "main")


def test_installing_again_replaces_ours_and_only_ours(repository: Path, tmp_path: Path) -> None:
    first = install_post_receive(repository, command="one", config=tmp_path / "p.toml")
    second = install_post_receive(repository, command="two", config=tmp_path / "p.toml")
    assert first == second
    assert "two hook post-receive" in second.read_text()
    assert [path.name for path in second.parent.iterdir() if path.name.startswith(".")] == []
    second.write_text("#!/bin/sh\necho theirs\n")
    with pytest.raises(ConfigError, match="add this line"):
        install_post_receive(repository, command="three", config=tmp_path / "p.toml")
    assert second.read_text() == "#!/bin/sh\necho theirs\n"
    second.unlink()
    second.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="add this line"):
        install_post_receive(repository, command="three", config=tmp_path / "p.toml")


def test_hooks_that_are_shared_with_other_repositories_are_left_alone(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "config", "core.hooksPath", str(tmp_path / "shared"))
    with pytest.raises(ConfigError, match="hooksPath"):
        install_post_receive(repository, command="x", config=tmp_path / "p.toml")
    assert not (tmp_path / "shared").exists()


def test_a_hook_needs_a_repository(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="not a Git repository"):
            install_post_receive(path, command="x", config=tmp_path / "p.toml")

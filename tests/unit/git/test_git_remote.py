"""A mirror of a remote: made when needed, fetched by one at a time, with a token that stands nowhere."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from promptship.adapters.git import GitRepository
from promptship.adapters.git_remote import Remote
from promptship.adapters.hosts import remote_for
from promptship.errors import NotFound, Unavailable
from promptship.settings import GitHubSettings, RepositorySettings, Settings
from tests.support.repositories import GitMaker, git

pytestmark = pytest.mark.slow
TOKEN = "a-token-that-nobody-may-see"


@contextmanager
def served(root: Path, *, token: str = "", hang: threading.Event | None = None) -> Iterator[str]:
    """Git's own HTTP server (`git http-backend`), behind a password."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            if hang is not None:
                hang.wait(30)
                return
            given = self.headers.get("Authorization", "")
            if token and given != "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode():
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            length = int(self.headers.get("Content-Length") or 0)
            environment = {
                **os.environ, "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_ADDR": "127.0.0.1",
                "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(length),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            }  # fmt: skip
            ran = subprocess.run(
                ["git", "http-backend"],
                input=self.rfile.read(length),
                capture_output=True,
                env=environment,
                check=True,
            )
            head, _, body = ran.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _serve  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/origin"
    finally:
        if hang is not None:
            hang.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def origin(tmp_path: Path) -> GitMaker:
    maker = GitMaker(tmp_path / "origin", bare=True)
    maker.commit({"prompts/späte antwort.yaml": b"1"})
    return maker


def mirror(tmp_path: Path, address: str, **more: Any) -> GitRepository:
    return GitRepository(tmp_path / "data" / "mirror.git", remote=Remote(address, **more))


def test_the_mirror_is_made_when_it_is_first_read(tmp_path: Path, origin: GitMaker) -> None:
    found = mirror(tmp_path, str(origin.path)).resolve("main")
    assert found.id == git(origin.path, "rev-parse", "main")


def test_a_commit_that_is_missing_is_fetched(tmp_path: Path, origin: GitMaker) -> None:
    repository = mirror(tmp_path, str(origin.path))
    before = repository.resolve("main").id
    after = origin.commit({"prompts/späte antwort.yaml": b"2"})
    assert repository.resolve("main").id == before, "a branch is as it was fetched last"
    assert repository.tree(after).read("prompts/späte antwort.yaml") == b"2"
    assert repository.changed(before, after) == ("prompts/späte antwort.yaml",)
    with pytest.raises(NotFound):
        repository.resolve("9" * 40)


def test_forced_and_deleted_branches_are_followed_and_their_commits_stay(
    tmp_path: Path, origin: GitMaker
) -> None:
    repository = mirror(tmp_path, str(origin.path))
    first = repository.resolve("main").id
    second = origin.commit({"a": b"2"})
    repository.fetch()
    git(origin.path, "update-ref", "refs/heads/main", first)
    repository.fetch()
    assert repository.resolve("main").id == first
    git(origin.path, "update-ref", "-d", "refs/heads/main")
    repository.fetch()
    with pytest.raises(NotFound):
        repository.resolve("refs/heads/main")
    assert repository.resolve(second).id == second


def test_a_pull_requests_head_comes_by_its_reference(tmp_path: Path, origin: GitMaker) -> None:
    head = origin.commit({"a": b"2"}, branch="theirs")
    git(origin.path, "update-ref", "refs/pull/7/head", head)
    git(origin.path, "update-ref", "-d", "refs/heads/theirs")
    repository = mirror(tmp_path, str(origin.path))
    repository.fetch()
    with pytest.raises(NotFound):
        repository.resolve(head)
    repository.fetch("refs/pull/7/head")
    assert repository.resolve(head).id == head


def test_over_http_the_token_lets_in_and_stands_nowhere(
    tmp_path: Path, origin: GitMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    with served(tmp_path, token=TOKEN) as address:
        repository = mirror(tmp_path, address, token=lambda: TOKEN)
        assert repository.resolve("main").id == git(origin.path, "rev-parse", "main")
        wrong = GitRepository(tmp_path / "other.git", remote=Remote(address, token=lambda: "wrong-" + TOKEN))
        with pytest.raises(Unavailable) as caught:
            wrong.resolve("main")
    assert TOKEN not in str(caught.value)
    kept = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not [content for content in kept if TOKEN.encode() in content]


@pytest.mark.parametrize("left", ["refs/heads/main.lock", "HEAD.lock"])
def test_what_a_killed_fetch_left_keeps_no_later_one_from_it(
    tmp_path: Path, origin: GitMaker, left: str
) -> None:
    git(origin.path, "branch", "gone", "main")
    repository = mirror(tmp_path, str(origin.path))
    repository.fetch()
    git(origin.path, "branch", "-D", "gone")
    head = origin.commit({"a": b"2"})
    lock, half = (tmp_path / "data" / "mirror.git" / name for name in (left, "objects/pack/tmp_pack_x"))
    for path in (lock, half):
        path.touch()
    with pytest.raises(Unavailable, match="lock"):  # somebody may be at it
        repository.fetch()
    assert lock.exists()
    for path in (lock, half):
        os.utime(path, (0, 0))
    assert fetched(repository) == head
    assert not lock.exists()
    assert not half.exists()


def test_small_objects_are_packed_and_nothing_is_lost(
    tmp_path: Path, origin: GitMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = mirror(tmp_path, str(origin.path))
    first = fetched(repository)
    second = origin.commit({"a": b"2"})
    assert fetched(repository) == second
    git(origin.path, "update-ref", "refs/heads/main", first)
    monkeypatch.setattr("promptship.adapters.git_remote._LOOSE_MAX", -1)
    objects = tmp_path / "data" / "mirror.git" / "objects"
    loose = len(list(objects.glob("??/*")))
    assert fetched(repository) == first
    assert list(objects.glob("pack/*.pack"))
    assert len(list(objects.glob("??/*"))) < loose
    assert repository.tree(second).read("a") == b"2", "it was pushed away, and its release may be asked for"


def test_a_mirror_that_was_half_made_is_made(tmp_path: Path, origin: GitMaker) -> None:
    half = tmp_path / "data" / "mirror.git"
    half.mkdir(parents=True)
    (half / "HEAD").write_text("ref: refs/heads/main\n")
    assert fetched(mirror(tmp_path, str(origin.path))) == git(origin.path, "rev-parse", "main")


def test_a_fetch_has_a_deadline(tmp_path: Path, origin: GitMaker) -> None:
    with served(tmp_path, hang=threading.Event()) as address:
        repository = mirror(tmp_path, address, timeout_s=0.5)
        with pytest.raises(Unavailable, match=r"longer than 0\.5 s"):
            repository.fetch()


@pytest.mark.parametrize("address", ["/nowhere/at/all", "http://127.0.0.1:1/x"])
def test_a_remote_that_is_not_there_is_unavailable(tmp_path: Path, address: str) -> None:
    with pytest.raises(Unavailable, match="cannot fetch"):
        mirror(tmp_path, address).fetch()


def fetched(repository: GitRepository) -> str:
    repository.fetch()
    return repository.resolve("main").id


def test_many_at_once_wait_for_each_other(tmp_path: Path, origin: GitMaker) -> None:
    repository = mirror(tmp_path, str(origin.path))
    with ThreadPoolExecutor(8) as pool:
        heads = list(pool.map(lambda _: fetched(repository), range(8)))
    assert set(heads) == {git(origin.path, "rev-parse", "main")}


@pytest.mark.parametrize(
    "remote",
    ["https://me:secret@host/x.git", "https://token@host/x.git", "ext::sh -c x", "--upload-pack=x", "ftp://h/x",
     "https://host/x?token=y", "https:///x", "ssh://-oProxyCommand=x/y"],
)  # fmt: skip
def test_addresses_with_secrets_or_commands_are_refused(remote: str) -> None:
    with pytest.raises(ValidationError, match="expected a path or an address"):
        RepositorySettings(remote=remote)


@pytest.mark.parametrize(
    ("remote", "given"),
    [
        ("https://github.com/acme/prompts.git", TOKEN),
        ("https://evil.example/acme/prompts.git", ""),
        ("git@github.com:acme/prompts.git", ""),
        ("../origin.git", ""),
    ],
)
def test_a_token_is_for_its_own_host_only(remote: str, given: str) -> None:
    settings = Settings(
        repository=RepositorySettings(remote=remote), github=GitHubSettings(repository="acme/prompts")
    )
    made = remote_for(settings, {"GITHUB_TOKEN": TOKEN})
    assert made is not None
    assert made.token() == given

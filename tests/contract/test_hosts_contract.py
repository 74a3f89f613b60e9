"""What every host of pull requests does: the one in memory, GitHub's and GitLab's REST APIs (stand-ins with their rules)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest

from promptship.adapters.hosts.access import AppToken
from promptship.adapters.hosts.github import GitHub
from promptship.adapters.hosts.gitlab import GitLab
from promptship.adapters.memory.hosts import MemoryHost
from promptship.errors import NotFound, Refused, Unavailable
from promptship.ports import Annotation, Host, Pull, Report
from tests.support.standin import Asked, Said, stand_in

pytestmark = pytest.mark.slow
HEAD = "a" * 40
MARKER = "<!-- ours -->"
REPORT = Report(
    outcome="failure", title="1 lint error", summary="see below",
    annotations=tuple(
        Annotation(path="prompts/ä b.yaml", line=n, level="failure", title="PS001", message=f"finding {n}")
        for n in range(1, 121)
    ),
)  # fmt: skip


@dataclass
class FakeGitHub:
    """GitHub's rules: PATCH of a check run adds annotations, 50 at most; 404 for what is not there."""

    checks_allowed: bool = True
    trouble: Said | None = None
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, asked: Asked) -> Said:
        if self.trouble is not None:
            return self.trouble
        path = asked.path.partition("?")[0].removeprefix("/repos/acme/prompts")
        body = json.loads(asked.body) if asked.body else {}
        words = path.strip("/").split("/")
        if asked.headers.get("authorization") != "Bearer tok":
            return Said(401, {"message": "Bad credentials"})
        if path == "/pulls/7":
            head = {"sha": HEAD, "repo": {"full_name": "Acme/prompts"}}
            pull = {"state": "open", "head": head, "base": {"ref": "main"}, "user": {"login": "mira"}}
            return Said(200, pull)
        if words[0] == "check-runs":
            return self._check(asked.method, words, body)
        if words[0] == "statuses":
            self.statuses.append(body)
            return Said(201, {"id": 1})
        return self._comment(asked, words, body)

    def _check(self, method: str, words: list[str], body: dict[str, Any]) -> Said:
        if not self.checks_allowed:
            return Said(403, {"message": "You must authenticate via a GitHub App."})
        if method == "POST":
            number = str(len(self.checks) + 1)
            self.checks[number] = {"annotations": [], **body}
            return Said(201, {"id": int(number)})
        output = body.get("output", {})
        if len(output.get("annotations", [])) > 50:
            return Said(422, {"message": "too many annotations"})
        check = self.checks[words[1]]
        check["annotations"] += output.get("annotations", [])
        check.update({name: value for name, value in body.items() if name != "annotations"})
        return Said(200, {"id": int(words[1])})

    def _comment(self, asked: Asked, words: list[str], body: dict[str, Any]) -> Said:
        if words[:2] == ["issues", "comments"]:
            if words[2] not in self.notes:
                return Said(404, {"message": "Not Found"})
            self.notes[words[2]] = body["body"]
            return Said(200, {"id": int(words[2])})
        if asked.method == "GET" and words == ["issues", "7", "comments"]:
            page = int(asked.path.rpartition("page=")[2])
            every = [{"id": int(one), "body": said} for one, said in self.notes.items()]
            return Said(200, every[100 * (page - 1) : 100 * page])
        if words == ["issues", "7", "comments"]:
            number = str(len(self.notes) + 1)
            self.notes[number] = body["body"]
            return Said(201, {"id": int(number)})
        return Said(404, {"message": "Not Found"})


@dataclass
class FakeGitLab:
    """GitLab's rules: a status cannot move to where it stands."""

    trouble: Said | None = None
    notes: dict[str, str] = field(default_factory=dict)
    states: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, asked: Asked) -> Said:
        if self.trouble is not None:
            return self.trouble
        if asked.headers.get("private-token") != "tok":
            return Said(401, {"message": "401 Unauthorized"})
        assert asked.path.startswith("/projects/acme%2Fteam%2Fprompts/")
        words = unquote(asked.path.partition("?")[0].removeprefix("/projects/acme%2Fteam%2Fprompts/")).split(
            "/"
        )
        body = json.loads(asked.body) if asked.body else {}
        if words == ["merge_requests", "7"]:
            who = {"source_project_id": 1, "target_project_id": 1, "author": {"username": "mira"}}
            return Said(200, {"sha": HEAD, "target_branch": "main", "state": "opened", **who})
        if words[0] == "statuses":
            if self.states and self.states[-1][0] == body["state"]:
                return Said(400, {"message": "Cannot transition status via :run from :running"})
            self.states.append((body["state"], body["description"]))
            return Said(201, {"id": 1})
        if words[:3] == ["merge_requests", "7", "notes"]:
            return self._note(asked, words, body)
        return Said(404, {"message": "404 Not found"})

    def _note(self, asked: Asked, words: list[str], body: dict[str, Any]) -> Said:
        if len(words) == 4 and words[3] not in self.notes:
            return Said(404, {"message": "404 Not found"})
        if asked.method == "GET":
            every = [{"id": int(one), "body": said, "system": False} for one, said in self.notes.items()]
            return Said(200, every)
        number = words[3] if len(words) == 4 else str(len(self.notes) + 1)
        self.notes[number] = body["body"]
        return Said(200, {"id": int(number)})


class Made(NamedTuple):
    port: Host
    fake: Any

    def texts(self) -> list[str]:
        if isinstance(self.fake, MemoryHost):
            return [said for _, said in self.fake.comments.values()]
        return list(self.fake.notes.values())

    def forget_comments(self) -> None:
        (self.fake.comments if isinstance(self.fake, MemoryHost) else self.fake.notes).clear()

    def trouble(self, said: Said) -> None:
        if isinstance(self.fake, MemoryHost):
            self.fake.down = said.status >= 500
            self.fake.refuses = said.status == 403
        else:
            self.fake.trouble = said


@pytest.fixture(params=["memory", "github", "gitlab"])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    if request.param == "memory":
        pull = Pull(
            number=7, head=HEAD, base="main", is_open=True, fork=False, author="mira", ref="refs/pull/7/head"
        )
        memory = MemoryHost({7: pull})
        yield Made(memory, memory)
        return
    fake = FakeGitHub() if request.param == "github" else FakeGitLab()
    with stand_in(fake.answer) as server:
        port: Host = (
            GitHub(server.url, "acme/prompts", lambda: "tok")
            if request.param == "github"
            else GitLab(server.url, "acme/team/prompts", lambda: "tok")
        )
        yield Made(port, fake)


def test_tells_a_pull_request_as_it_is(made: Made) -> None:
    pull = made.port.pull(7)
    assert (pull.head, pull.base, pull.is_open, pull.fork, pull.author) == (HEAD, "main", True, False, "mira")
    assert pull.ref.endswith("/7/head")


def test_a_pull_request_that_is_not_there_is_not_found(made: Made) -> None:
    with pytest.raises(NotFound):
        made.port.pull(8)


def test_there_is_one_comment_however_often_it_is_written(made: Made) -> None:
    first = made.port.comment(7, "one", marker=MARKER)
    assert made.port.comment(7, "two", marker=MARKER) == first  # the id was lost
    assert made.port.comment(7, "three", marker=MARKER, known=first) == first
    assert made.texts() == [f"{MARKER}\nthree"]


def test_a_comment_that_quotes_the_marker_is_not_ours(made: Made) -> None:
    other = made.port.comment(7, f"see {MARKER}", marker="<!-- theirs -->")
    assert made.port.comment(7, "ours", marker=MARKER) != other
    assert len(made.texts()) == 2


def test_a_comment_that_was_deleted_is_written_again(made: Made) -> None:
    first = made.port.comment(7, "one", marker=MARKER)
    made.forget_comments()
    made.port.comment(7, "two", marker=MARKER, known=first)
    assert made.texts() == [f"{MARKER}\ntwo"]


def test_a_mark_is_made_once_and_replaced_by_the_result(made: Made) -> None:
    reference = made.port.begin(HEAD, title="running")
    assert made.port.begin(HEAD, title="running", known=reference) == reference
    made.port.finish(HEAD, reference, REPORT)
    match made.fake:
        case MemoryHost():
            assert list(made.fake.marks.values()) == [(HEAD, "1 lint error", REPORT)]
        case FakeGitHub():
            (check,) = made.fake.checks.values()
            assert (check["status"], check["conclusion"], check["head_sha"]) == ("completed", "failure", HEAD)
            assert [one["start_line"] for one in check["annotations"]] == list(range(1, 121))
        case FakeGitLab():
            assert made.fake.states == [("running", "running"), ("failed", "1 lint error")]


def test_a_result_may_be_told_twice(made: Made) -> None:
    reference = made.port.begin(HEAD, title="running")
    for _ in range(2):
        made.port.finish(HEAD, reference, Report(outcome="success", title="ok", summary=""))


@pytest.mark.parametrize(
    ("said", "error"),
    [(Said(503, {}), Unavailable), (Said(403, {"message": "token=abcdefghijk"}), Refused)],
    ids=["down", "refused"],
)
def test_trouble_has_its_error_and_tells_no_secret(made: Made, said: Said, error: type[Exception]) -> None:
    made.trouble(said)
    with pytest.raises(error) as caught:
        made.port.pull(7)
    assert "abcdefghijk" not in str(caught.value)


def test_github_without_check_runs_gets_a_commit_status() -> None:
    fake = FakeGitHub(checks_allowed=False)
    with stand_in(fake.answer) as server:
        host = GitHub(server.url, "acme/prompts", lambda: "tok")
        reference = host.begin(HEAD, title="running")
        for outcome in ("success", "failure", "neutral"):
            host.finish(HEAD, reference, Report(outcome=outcome, title=outcome, summary=""))
    told = [(one["state"], one["context"]) for one in fake.statuses]
    assert told == [(state, "promptship") for state in ("pending", "success", "failure", "error")]


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        (Said(429, {}, {"Retry-After": "7"}), 7),
        (Said(403, {}, {"X-RateLimit-Remaining": "0"}), None),
        (Said(200, b"<html>"), None),
    ],
)
def test_a_limit_of_requests_is_worth_another_try(said: Said, wait_s: float | None) -> None:
    with stand_in(lambda _: said) as server, pytest.raises(Unavailable) as caught:
        GitHub(server.url, "acme/prompts", lambda: "tok").pull(7)
    assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize("repo", [None, {"full_name": "stranger/prompts"}])
def test_commits_of_another_repository_are_a_fork(repo: Any) -> None:
    told = {"state": "open", "head": {"sha": HEAD, "repo": repo}, "base": {"ref": "main"}, "user": None}
    with stand_in(lambda _: Said(200, told)) as server:
        assert GitHub(server.url, "acme/prompts", lambda: "tok").pull(7).fork


def test_a_github_app_signs_in_and_keeps_its_token() -> None:
    import base64

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kind, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(kind, form, serialization.NoEncryption()).decode()

    def answer(asked: Asked) -> Said:
        signed = asked.headers["authorization"].removeprefix("Bearer ")
        content, _, mac = signed.rpartition(".")
        raw = base64.urlsafe_b64decode(mac + "=" * (-len(mac) % 4))
        key.public_key().verify(raw, content.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = content.partition(".")[2]
        assert json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iss"] == "123"
        if asked.path == "/repos/acme/prompts/installation":
            return Said(200, {"id": 9})
        assert (asked.path, asked.json) == (
            "/app/installations/9/access_tokens",
            {"repositories": ["prompts"]},
        )
        return Said(201, {"token": "ghs_of_the_installation", "expires_at": "2999-01-01T00:00:00Z"})

    with stand_in(answer) as server:
        token = AppToken(server.url, "acme/prompts", "123", lambda: pem.replace("\n", "\\n"))
        assert [token(), token()] == ["ghs_of_the_installation"] * 2
        assert len(server.asked) == 2
    with pytest.raises(Refused, match="no RSA key"):
        AppToken("http://127.0.0.1:1", "acme/prompts", "123", lambda: "nonsense")()

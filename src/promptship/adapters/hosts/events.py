"""What GitHub's and GitLab's webhooks say, and whether they are theirs. Of a push only reference, before and after are believed."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qs

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from promptship.adapters.hooks import Push
from promptship.adapters.standard_webhooks import ID, key_of, verified
from promptship.errors import ConfigError, Problem, Refused

DELIVERY: Final = re.compile(r"^[\x21-\x7e]{1,200}$", re.ASCII)
_REVIEWED: Final = frozenset({"opened", "synchronize", "reopened", "ready_for_review"})
_MERGE_ACTIONS: Final = frozenset({"open", "reopen", "update"})
_WEBHOOK_KEY: Final = "whsec_"

Id = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]
Ref = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
Number = Annotated[int, Field(ge=1, le=2**31)]
Name = Annotated[str, Field(max_length=500)]


@dataclass(frozen=True, slots=True)
class PullChanged:
    """A pull or merge request has a commit that nobody may have reviewed."""

    host: str
    number: int
    head: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """Something that nothing follows from, in a word."""

    why: str


Event = Push | PullChanged | Nothing


class _Told(BaseModel):
    """Of a host's object only what we read; the rest is its own."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Repository(_Told):
    full_name: Name


class _GitHubPush(_Told):
    ref: Ref
    before: Id
    after: Id
    repository: _Repository


class _Head(_Told):
    sha: Id


class _GitHubPull(_Told):
    number: Number
    head: _Head


class _GitHubPullEvent(_Told):
    action: Name
    pull_request: _GitHubPull
    repository: _Repository


class _Project(_Told):
    id: int
    path_with_namespace: Name


class _GitLabPush(_Told):
    ref: Ref
    before: Id
    after: Id
    project: _Project


class _LastCommit(_Told):
    id: Id


class _Merge(_Told):
    iid: Number
    action: Name = ""
    last_commit: _LastCommit


class _GitLabMergeEvent(_Told):
    object_attributes: _Merge
    project: _Project


_M = TypeVar("_M", bound=_Told)


def verify_github(secret: str, headers: Mapping[str, str], body: bytes) -> None:
    """Return when GitHub signed the raw body with this secret. Raises Refused."""
    if not secret:
        raise Refused(
            "no webhook secret is configured: put it into the variable of github.webhook_secret_env"
        )
    given = headers.get("X-Hub-Signature-256", "")
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise Refused(
            "header X-Hub-Signature-256 does not fit: GitHub has another secret, or did not send this"
        )


def verify_gitlab(
    token: str, signing_key: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> None:
    """Return when GitLab sent this: signed, where a signing key is configured; otherwise with the secret token. Raises Refused."""
    if signing_key:
        verify_standard(signing_key, headers, body, now)
        return
    if not token:
        raise Refused(
            "no secret is configured: put the webhook's into the variable of gitlab.signing_key_env or gitlab.webhook_token_env"
        )
    given = headers.get("X-Gitlab-Token", "")
    if not hmac.compare_digest(token.encode(), given.encode("utf-8", "replace")):
        raise Refused("header X-Gitlab-Token does not fit: GitLab has another secret token")


def verify_standard(key: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`, at most five minutes old. Raises Refused.

    Several signatures may be listed, so that keys can be changed; one that fits is enough.
    """
    secret = key_of(key, plain=False)
    if not secret:
        raise Refused("the configured signing key is not `whsec_` and base64")
    if not DELIVERY.match(headers.get(ID, "")):
        raise Refused(f"header {ID} is missing or not as it should be")
    verified(secret, headers, body, now=now)


def read_github(repository: str, headers: Mapping[str, str], body: bytes) -> Event:
    """The event of a delivery. Raises ConfigError: no delivery of GitHub's, or not JSON."""
    kind = headers.get("X-GitHub-Event", "")
    if not DELIVERY.match(headers.get("X-GitHub-Delivery", "")) or not DELIVERY.match(kind):
        expected = "expected headers X-GitHub-Event and X-GitHub-Delivery, as GitHub sends them"
        raise ConfigError([Problem("request", "", "missing or malformed", expected)])
    if headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        body = (parse_qs(body.decode("utf-8", "replace")).get("payload") or [""])[0].encode()
    if kind == "ping":
        return Nothing("ping: the webhook is set up")
    if kind == "push":
        push = _parsed(body, _GitHubPush)
        foreign = _foreign(repository, push.repository.full_name)
        return foreign or Push(push.before, push.after, push.ref)
    if kind != "pull_request":
        return Nothing(f"event {kind[:80]} is not used; push and pull_request are")
    told = _parsed(body, _GitHubPullEvent)
    if foreign := _foreign(repository, told.repository.full_name):
        return foreign
    if not repository:
        return Nothing("pull requests are not reviewed: set github.repository")
    if told.action not in _REVIEWED:
        return Nothing(f"pull request {told.pull_request.number} was {told.action[:80]}; nothing to review")
    return PullChanged("github", told.pull_request.number, told.pull_request.head.sha)


def read_gitlab(project: str, headers: Mapping[str, str], body: bytes) -> Event:
    """The event of a webhook. Raises ConfigError: not JSON of GitLab's."""
    kind = headers.get("X-Gitlab-Event", "")
    if kind == "Push Hook":
        push = _parsed(body, _GitLabPush)
        if push.project.path_with_namespace and (foreign := _elsewhere(project, push.project)):
            return foreign
        return Push(push.before, push.after, push.ref)
    if kind != "Merge Request Hook":
        return Nothing(f"{kind[:80] or 'an event without a name'} is not used; pushes and merge requests are")
    told = _parsed(body, _GitLabMergeEvent)
    if foreign := _elsewhere(project, told.project):
        return foreign
    if not project:
        return Nothing("merge requests are not reviewed: set gitlab.project")
    merge = told.object_attributes
    if merge.action not in _MERGE_ACTIONS:
        return Nothing(f"merge request {merge.iid}: {merge.action[:80] or 'no action'}; nothing to review")
    return PullChanged("gitlab", merge.iid, merge.last_commit.id)


def _foreign(configured: str, named: str) -> Nothing | None:
    """A secret may be shared by all repositories of an organisation."""
    if configured and configured.lower() != named.lower():
        return Nothing(f"about {named[:100]}, not about {configured}")
    return None


def _elsewhere(configured: str, project: _Project) -> Nothing | None:
    if configured == str(project.id):
        return None
    return _foreign(configured, project.path_with_namespace)


def _parsed(body: bytes, model: type[_M]) -> _M:
    try:
        return model.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as problem:
        raise ConfigError([Problem("request body", "", "not JSON", str(problem))]) from None
    except ValidationError as problem:
        raise ConfigError(_problem(one) for one in problem.errors()) from None


def _problem(told: Any) -> Problem:
    key = ".".join(str(part) for part in told["loc"]) or "the whole"
    return Problem("request body", key, repr(told["input"])[:80], str(told["msg"]).lower())

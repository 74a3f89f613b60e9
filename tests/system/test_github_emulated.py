"""GitHub as `emulate` has it: an app signs in, a pull request is told by a signed webhook, check run and one comment."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from promptship.adapters.hooks import Push
from promptship.adapters.hosts.access import AppToken
from promptship.adapters.hosts.events import PullChanged, read_github, verify_github
from promptship.adapters.hosts.github import CHECK, GitHub
from promptship.errors import Refused
from promptship.ports import Annotation, Report
from tests.support.github_emulated import APP_ID, USER_TOKEN, WEBHOOK_SECRET, emulated_github
from tests.support.node_packages import node_with
from tests.support.standin import Asked, Said, StandIn, stand_in

pytestmark = pytest.mark.system
REPOSITORY = "octocat/prompts"
MARKER = "<!-- promptship:review -->"


class Place(NamedTuple):
    api: httpx.Client
    host: GitHub
    received: StandIn


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kind, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = made.private_bytes(kind, form, serialization.NoEncryption()).decode()
    with (
        stand_in(lambda _: Said(202, {})) as received,
        emulated_github(key=key, webhook_url=f"{received.url}/hooks/github") as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {USER_TOKEN}"}, trust_env=False) as api,
    ):
        yield Place(api, GitHub(url, REPOSITORY, AppToken(url, REPOSITORY, APP_ID, lambda: key)), received)


def asked(place: Place, method: str, path: str, body: Any = None) -> Any:
    answer = place.api.request(method, f"/repos/{REPOSITORY}{path}", json=body)
    assert answer.is_success, answer.text
    return answer.json()


def pull_request(place: Place, branch: str) -> tuple[int, str]:
    """A branch with one commit, and a pull request for it."""
    head = asked(place, "GET", "/git/ref/heads/main")["object"]["sha"]
    asked(place, "POST", "/git/refs", {"ref": f"refs/heads/{branch}", "sha": head})
    content = base64.b64encode(b"name: support\n").decode()
    body = {"message": "change", "content": content, "branch": branch}
    asked(place, "PUT", f"/contents/prompts/{branch}.yaml", body)
    made = asked(place, "POST", "/pulls", {"title": branch, "head": branch, "base": "main"})
    return made["number"], made["head"]["sha"]


def delivery(place: Place, event: str) -> Asked:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for one in place.received.asked:
            if one.headers.get("x-github-event") == event:
                return one
        time.sleep(0.05)
    pytest.fail(f"no {event} was delivered")


def test_a_signed_delivery_is_believed_and_only_as_it_is(place: Place) -> None:
    number, head = pull_request(place, "delivered")
    one = delivery(place, "pull_request")
    headers = httpx.Headers(one.headers)
    verify_github(WEBHOOK_SECRET, headers, one.body)
    assert read_github(REPOSITORY, headers, one.body) == PullChanged("github", number, head)
    for secret, body in (("another", one.body), (WEBHOOK_SECRET, one.body + b" ")):
        with pytest.raises(Refused):
            verify_github(secret, headers, body)


def test_a_review_is_told_by_a_check_run_and_one_comment(place: Place) -> None:
    number, head = pull_request(place, "told")
    pull = place.host.pull(number)
    assert (pull.head, pull.base, pull.fork, pull.is_open) == (head, "main", False, True)
    reference = place.host.begin(head, title="running")
    (run,) = asked(place, "GET", f"/commits/{head}/check-runs")["check_runs"]
    assert (run["name"], run["status"]) == (CHECK, "in_progress")
    remark = Annotation(
        path="prompts/told.yaml", line=1, level="failure", title="PS001", message="no messages"
    )
    report = Report(outcome="failure", title="1 lint error", summary="see below", annotations=(remark,))
    place.host.finish(head, reference, report)
    (run,) = asked(place, "GET", f"/commits/{head}/check-runs")["check_runs"]
    assert (run["status"], run["conclusion"], run["output"]["title"]) == (
        "completed", "failure", "1 lint error",
    )  # fmt: skip
    listed = asked(place, "GET", f"/check-runs/{reference}/annotations")
    (told,) = listed["check_annotations"] if isinstance(listed, dict) else listed  # GitHub's is a list
    assert (told["path"], told["start_line"]) == ("prompts/told.yaml", 1)
    first = place.host.comment(number, "one", marker=MARKER)
    assert place.host.comment(number, "two", marker=MARKER) == first
    assert place.host.comment(number, "three", marker=MARKER, known=first) == first
    comments = asked(place, "GET", f"/issues/{number}/comments")
    assert [comment["body"] for comment in comments] == [f"{MARKER}\nthree"]


_SIGN = """
import { pathToFileURL } from "node:url";
const methods = await import(pathToFileURL(process.argv[2] + "/@octokit/webhooks-methods/dist-node/index.js").href);
let body = "";
for await (const part of process.stdin) body += part;
const signed = [];
for (const one of JSON.parse(body)) signed.push(await methods.sign(process.argv[3], one));
console.log(JSON.stringify(signed));
"""


def test_githubs_own_examples_are_understood_and_its_signatures_fit(tmp_path: Path) -> None:
    node, modules = node_with("@octokit/webhooks-examples", "@octokit/webhooks-methods")
    index = modules / "@octokit/webhooks-examples/api.github.com/index.json"
    events = json.loads(index.read_text(encoding="utf-8"))
    told = [(event["name"], json.dumps(one)) for event in events for one in event["examples"]]
    program = tmp_path / "sign.mjs"
    program.write_text(_SIGN, encoding="utf-8")
    bodies = json.dumps([body for _, body in told]).encode()
    signed = subprocess.run(
        [node, str(program), str(modules), WEBHOOK_SECRET],
        input=bodies,
        capture_output=True,
        check=True,
        timeout=60,
    )
    seen = []
    for (name, body), signature in zip(told, json.loads(signed.stdout), strict=True):
        raw = body.encode()
        headers = {"X-Hub-Signature-256": signature, "X-GitHub-Event": name, "X-GitHub-Delivery": "d-1"}
        verify_github(WEBHOOK_SECRET, headers, raw)
        event = read_github("Codertocat/Hello-World", headers, raw)
        if isinstance(event, Push | PullChanged):
            seen.append((name, json.loads(body).get("action", "")))
    assert {name for name, _ in seen} == {"push", "pull_request"}
    assert {action for name, action in seen if name == "pull_request"} == {
        "opened", "synchronize", "reopened", "ready_for_review",
    }  # fmt: skip

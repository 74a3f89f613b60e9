"""A control plane over memory, releases in any phase, and signed requests."""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
from slack_sdk import WebClient
from starlette.applications import Starlette

from promptship.adapters.memory.approvals import MemoryApprovals
from promptship.adapters.memory.clock import MemoryClock
from promptship.adapters.memory.journal import MemoryJournal
from promptship.adapters.memory.ledger import MemoryLedger, MemoryRoutes
from promptship.adapters.memory.measurements import MemoryMeasurements
from promptship.adapters.memory.models import ScriptedModels
from promptship.adapters.memory.orchestrator import MemoryOrchestrator
from promptship.adapters.memory.outbox import MemoryOutbox
from promptship.adapters.memory.repository import MemoryRepository
from promptship.adapters.slack import SlackTalk
from promptship.lifecycle.app import App
from promptship.ports import Ledger, RouteChange, Routes
from promptship.prompts.digest import canonical, digest
from promptship.prompts.model import Message, Prompt
from promptship.release import events as e
from promptship.release.plan import Plan
from promptship.routing.table import Version
from promptship.server import create_app
from promptship.settings import Approver, Settings, SlackSettings
from tests.support.verdicts import hold

TOKEN = "token-of-the-tests-0123456789"
SECRET = b"signing-key-of-the-tests"
SLACK_SECRET = "slack-signing-secret-of-the-tests"
ZEROS = "0" * 40

MIRA = Approver(name="mira", email="mira@example.org", slack="UMIRA")
NOOR = Approver(name="noor", email="noor@example.org", slack="UNOOR")


def version(text: str, commit: str) -> Version:
    prompt = Prompt(name="support-reply", messages=(Message(role="system", content=text),), model="gpt-x")
    return Version(digest=digest(prompt), commit=commit, content=canonical(prompt))


STABLE = version("You answer customers of a shop. Be kind.", "a" * 40)
CANDIDATE = version("You answer customers of a shop. Be concise.", "b" * 40)


@dataclass
class World:
    """Everything a control plane touches, with the fakes at hand."""

    settings: Settings = field(
        default_factory=lambda: Settings(
            approvers=(MIRA, NOOR), slack=SlackSettings(base_url="http://127.0.0.1:1/api/")
        )
    )
    clock: MemoryClock = field(default_factory=MemoryClock)
    approvals: MemoryApprovals = field(default_factory=MemoryApprovals)
    repository: MemoryRepository = field(default_factory=MemoryRepository)
    orchestrator: MemoryOrchestrator = field(default_factory=MemoryOrchestrator)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    ledger: Ledger | None = None
    routes: Routes | None = None

    def __post_init__(self) -> None:
        memory = MemoryRoutes(self.clock)
        self.routes = self.routes or memory
        self.ledger = self.ledger or MemoryLedger(memory)

    @property
    def app(self) -> App:
        assert self.ledger is not None
        assert self.routes is not None
        return App(
            settings=self.settings, ledger=self.ledger, routes=self.routes, measurements=MemoryMeasurements(),
            models=ScriptedModels([]), approvals=self.approvals, repository=self.repository,
            orchestrator=self.orchestrator, clock=self.clock, journal=self.journal,
            outbox=MemoryOutbox(self.ledger),
        )  # fmt: skip

    def asgi(self) -> Starlette:
        talk = SlackTalk(WebClient(token="xoxb-test", base_url=self.settings.slack.base_url))
        return create_app(self.app, token=TOKEN, secret=SECRET, slack_secret=SLACK_SECRET, talk=talk)


def client(asgi: Starlette, *, token: str | None = TOKEN) -> httpx.AsyncClient:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(asgi, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://plane", headers=headers)


def opened(world: World, *, commit: str = "b" * 40, author: str = "dev@example.org") -> str:
    fact = e.Requested(
        prompt="support-reply", path="prompts/support-reply.yaml", commit=commit, author=author
    )
    release_id, _ = world.app.ledger.open_release(fact, actor=f"push:{author}", at=world.clock.now())
    return release_id


def in_canary(world: World, plan: Plan | None = None, *, risk: str = "low") -> str:
    """A release in its first stage, with a route, looked at once."""
    app, now = world.app, world.clock.now()
    for known in (STABLE, CANDIDATE):
        app.routes.keep_version(known)
    if app.routes.get("support-reply") is None:
        app.routes.adopt("support-reply", STABLE, actor="person:mira", at=now)
    release_id = opened(world)
    plan = plan or Plan()
    facts: list[e.Fact] = [
        e.Linted(version=CANDIDATE.digest, plan=plan.model_dump(mode="json"), risk=risk),
        e.Evaluated(stable=STABLE.digest, verdict={"outcome": "pass", "because": "no case is worse"}),
        e.StageStarted(stage=0, share=plan.canary.stages[0].share, salt="salt", stable=STABLE.digest),
        e.Looked(stage=0, look=1, as_of=now, state={}, verdict=hold().model_dump(mode="json")),
    ]
    route = app.routes.get("support-reply")
    change = RouteChange(
        prompt="support-reply", expected_revision=route.revision if route else 0, stable=STABLE.digest,
        commit=STABLE.commit, release_id=release_id, candidate=CANDIDATE.digest, stage=0,
        share=plan.canary.stages[0].share, salt="salt", lease_until=now + timedelta(seconds=60),
    )  # fmt: skip
    app.ledger.append(release_id, facts, expected_seq=0, actor="flow", at=now, route=change)
    return release_id


def waiting(world: World, plan: Plan | None = None, *, required: int = 1) -> str:
    """A release that asks for approval, with a delivered card."""
    from promptship.render.card import approval_card

    app, now = world.app, world.clock.now()
    release_id = in_canary(world, plan)
    asked = e.ApprovalRequested(
        question="promote",
        required=required,
        expires_at=now + timedelta(hours=24),
        reason="every stage is passed",
    )
    app.ledger.append(release_id, [asked], expected_seq=4, actor="flow", at=now)
    channel, reference = app.approvals.ask(approval_card(app.release(release_id)))
    fact = e.ApprovalAsked(channel=channel, reference=reference)
    app.ledger.append(release_id, [fact], expected_seq=5, actor="flow", at=now)
    return release_id


def click(
    release_id: str,
    *,
    seq: int = 5,
    user: str = "UMIRA",
    action: str = "promptship_approve",
    response_url: str = "",
    trigger_id: str = "",
) -> bytes:
    payload: dict[str, Any] = {
        "type": "block_actions",
        "user": {"id": user, "name": f"name of {user}"},
        "response_url": response_url,
        "trigger_id": trigger_id,
        "channel": {"id": "C1"},
        "actions": [{"action_id": action, "value": json.dumps({"release_id": release_id, "seq": seq})}],
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def reject_modal(release_id: str, *, seq: int = 5, user: str = "UMIRA", reason: str = "too curt") -> bytes:
    about = {"release_id": release_id, "seq": seq, "channel": "C1"}
    payload: dict[str, Any] = {
        "type": "view_submission",
        "user": {"id": user, "name": f"name of {user}"},
        "view": {
            "callback_id": "promptship_reject",
            "private_metadata": json.dumps(about),
            "state": {"values": {"reason": {"reason": {"type": "plain_text_input", "value": reason}}}},
        },
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def typed(text: str, *, user: str = "UMIRA", response_url: str = "") -> bytes:
    fields = {"command": "/promptship", "text": text, "user_id": user, "user_name": f"name of {user}"}
    return urlencode({**fields, "response_url": response_url, "trigger_id": f"1.2.{text}"}).encode()


def slack_headers(body: bytes, at: float, secret: str = SLACK_SECRET) -> dict[str, str]:
    timestamp = str(int(at))
    mac = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": f"v0={mac}",
    }

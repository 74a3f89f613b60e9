"""A whole promptship in memory: pushes, traffic and time are made by hand, everything between is the product's own code."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptship.adapters.memory.approvals import MemoryApprovals
from promptship.adapters.memory.clock import MemoryClock
from promptship.adapters.memory.journal import MemoryJournal
from promptship.adapters.memory.ledger import MemoryLedger, MemoryRoutes
from promptship.adapters.memory.measurements import MemoryMeasurements
from promptship.adapters.memory.models import ScriptedModels
from promptship.adapters.memory.orchestrator import MemoryOrchestrator
from promptship.adapters.memory.outbox import MemoryOutbox
from promptship.adapters.memory.repository import MemoryRepository
from promptship.lifecycle import steps, telling
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.app import App
from promptship.lifecycle.approval import approve
from promptship.lifecycle.opening import open_for_push
from promptship.release.history import Release
from promptship.routing.observation import Feedback, Observation
from promptship.routing.split import takes_candidate
from promptship.settings import Approver, ModelSettings, ProviderSettings, Settings
from promptship.watcher import Watcher

STAGES = """
[plans.default]
on_newer = "wait"
[plans.default.canary]
requests_min = 20
lease = "30s"
stages = [{share = 0.2, dwell = "20s", cap = "1h", margin = 1.0}, {share = 0.5, dwell = "20s", cap = "1h", margin = 1.0}]
[[plans.default.canary.guardrails]]
metric = "feedback:escalated"
margin_floor = 0.1
"""
PROMPT = """
name: support
owner: team@example.org
model: sim-1
messages:
  - role: system
    content: {text}
"""
PATH = "prompts/support.yaml"
SUITE = "cases: [{id: hello, assert: [{type: icontains, value: hello}]}]"
MIRA = Approver(name="mira", email="mira@example.org", slack="UMIRA")
NOOR = Approver(name="noor", email="noor@example.org", slack="UNOOR")


def settings(root: Path = Path()) -> Settings:
    return Settings(
        root=root,
        approvers=(MIRA, NOOR),
        providers={"sim": ProviderSettings(base_url="http://127.0.0.1:1/v1")},
        models={"sim-1": ModelSettings(provider="sim", context_tokens=8000)},
    )


class BusyLedger(MemoryLedger):
    """A ledger in which somebody else can be made to write right before the next write."""

    def __init__(self, routes: MemoryRoutes) -> None:
        super().__init__(routes)
        self.meanwhile: list[Callable[[], object]] = []
        """The first is done before the next append, the second before the one after it, and so on."""

    def append(self, *words: Any, **more: Any) -> Any:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return super().append(*words, **more)

    def append_all(self, *words: Any, **more: Any) -> Any:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return super().append_all(*words, **more)


@dataclass
class House:
    """Everything, with the fakes at hand."""

    plan: str = STAGES
    root: Path = Path()
    """Where the data directory is; only suites that are really run write to it."""
    clock: MemoryClock = field(default_factory=MemoryClock)
    approvals: MemoryApprovals = field(default_factory=MemoryApprovals)
    repository: MemoryRepository = field(default_factory=MemoryRepository)
    orchestrator: MemoryOrchestrator = field(default_factory=MemoryOrchestrator)
    measurements: MemoryMeasurements = field(default_factory=lambda: MemoryMeasurements(bucket_s=1.0))
    requests: int = 0

    def __post_init__(self) -> None:
        self.routes = MemoryRoutes(self.clock)
        self.ledger = BusyLedger(self.routes)
        self.journal = MemoryJournal()
        self.outbox = MemoryOutbox(self.ledger)
        self.app = App(
            settings=settings(self.root), ledger=self.ledger, routes=self.routes, measurements=self.measurements,
            models=ScriptedModels(lambda _: "hello"), approvals=self.approvals, repository=self.repository,
            orchestrator=self.orchestrator, clock=self.clock, journal=self.journal, outbox=self.outbox,
        )  # fmt: skip
        self.watcher = Watcher(self.app)

    # -- pushes ------------------------------------------------------------------------------------------------------

    def commit(self, text: str = "Say hello.", **files: str) -> str:
        """Commit a text of the support prompt (and other files)."""
        content = {
            PATH: PROMPT.format(text=text),
            "promptship.toml": self.plan,
            "suites/support.yaml": SUITE,
            **files,
        }
        return self.repository.commit(
            {path: body.encode() for path, body in content.items()}, author="dev@example.org"
        )

    def adopt(self, text: str = "Say hello.") -> str:
        """Commit and adopt: what production serves today."""
        commit = self.commit(text)
        adopt(self.app, [], ref=commit, actor="person:test")
        return commit

    def push(self, text: str, **files: str) -> str:
        """Commit, announce; returns the release's id."""
        before = self.repository.resolve("main").id
        after = self.commit(text, **files)
        (opened,) = open_for_push(self.app, before=before, after=after, actor="push:dev@example.org")
        return opened.release_id

    # -- what flow and watcher do ------------------------------------------------------------------------------------

    def run_flow(self, release_id: str, *, passes: bool = True) -> str:
        """What one run of the release flow does, without Prefect and with a suite verdict made up."""

        def regress(app: App, release_id: str) -> steps.Standing:
            standing = steps.evaluated(app, release_id)
            if standing is not None:
                return standing
            route = app.routes.get("support")
            return steps.record_evaluation(
                app, release_id, stable=route.stable if route else None, verdict={"suites": []}, passes=passes,
                because="made up",
            )  # fmt: skip

        for step in (steps.lint, regress, steps.start_canary, telling.ask, steps.promote):
            if step(self.app, release_id) is not steps.Standing.GO_ON:
                break
        return telling.conclude(self.app, release_id).value

    def traffic(self, requests: int, *, bad: float, bad_stable: float = 0.1, seconds: float = 20.0) -> None:
        """Serve requests over some seconds as a gateway would: split, observed, some of them escalated (deterministic shares)."""
        seen = {"stable": 0, "candidate": 0}
        for _ in range(requests):
            self.requests += 1
            self.clock.advance(seconds / requests)
            route = self.routes.get("support")
            assert route is not None
            unit, split = f"user-{self.requests}", route.split
            live = split is not None and split.lease_s > 0
            arm: Any = "stable"
            if split is not None and live and takes_candidate(split.salt, unit, split.share):
                arm = "candidate"
            seen[arm] += 1
            rate = bad if arm == "candidate" else bad_stable
            self._serve(
                arm, split if live else None, escalated=int(seen[arm] * rate) > int((seen[arm] - 1) * rate)
            )

    def _serve(self, arm: Any, split: Any, *, escalated: bool) -> None:
        at_ms = int(self.clock.now().timestamp() * 1000)
        where: dict[str, Any] = {
            "prompt": "support", "version": self.serving(arm), "arm": arm,
            "release": split.release_id if split else None, "stage": split.stage if split else None,
        }  # fmt: skip
        request = f"request-{self.requests}"
        self.measurements.write(
            Observation(
                id=request, at_ms=at_ms, latency_ms=40.0, status=200, error=False, refusal=False, **where
            )
        )
        if escalated:
            self.measurements.write(
                Feedback(
                    id=f"feedback-{self.requests}",
                    at_ms=at_ms,
                    request=request,
                    request_at_ms=at_ms,
                    kind="escalated",
                    value=True,
                    **where,
                )
            )

    def serving(self, arm: str = "stable") -> str:
        """Digest that an arm is served with now."""
        route = self.routes.get("support")
        assert route is not None
        digest = route.split.candidate if arm == "candidate" and route.split else route.stable
        assert digest is not None
        return digest

    def look(self) -> None:
        """One turn of the watcher."""
        self.watcher.turn()

    def release(self, release_id: str) -> Release:
        return self.app.release(release_id)

    def due_at(self, release_id: str) -> Any:
        """When somebody should look at it next."""
        return next(one.due_at for one in self.ledger.summaries() if one.id == release_id)

    def in_question(self, text: str) -> str:
        """Push a good prompt and bring it to the point where people are about to be asked; returns the release's id."""
        release = self.push(text)
        self.run_flow(release)
        assert self.until(release, "awaiting_approval", bad=0.02).phase == "awaiting_approval"
        return release

    def promote(self, release_id: str) -> None:
        """What an approver and the next run of the flow do."""
        approve(self.app, release_id, who="mira", via="cli")
        assert self.run_flow(release_id) == "promoted"

    def until(self, release_id: str, *phases: str, bad: float, turns: int = 40) -> Release:
        """Traffic and looks until the release stands in one of the phases."""
        for _ in range(turns):
            if self.release(release_id).phase in phases:
                break
            self.traffic(200, bad=bad)
            self.look()
        return self.release(release_id)

    def kinds(self, release_id: str) -> list[str]:
        """Kinds of its events, looks left out."""
        kinds = [event.fact.kind for event in self.ledger.events(release_id)]
        return [kind for kind in kinds if kind != "looked"]

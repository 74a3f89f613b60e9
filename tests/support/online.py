"""A scorer in memory: the product's own release and checks, a judge from a script, a list for a spool, answers in files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from promptship.adapters.memory.models import ScriptedModels
from promptship.adapters.samples import SampleWriter
from promptship.evals.calls import Limits
from promptship.evals.online.scorer import Scorer
from promptship.evals.suite_run import Means
from promptship.lifecycle.app import App
from promptship.routing.observation import Score
from promptship.settings import ScorerSettings
from tests.support.gateway import completion
from tests.support.house import STAGES, House
from tests.support.services import FakeScripts

TONE = (
    "[[plans.default.online.checks]]\nname = 'tone'\nassert = {type = 'not-icontains', value = 'whatever'}\n"
)
HELPFUL = (
    "[[plans.default.online.checks]]\nname = 'helpful'\nassert = {type = 'llm-rubric', value = 'It helps.'}\n"
)
JUDGE = "[plans.default.online.judge]\nmodel = 'sim-1'\n"
YES = '{"pass": true, "score": 0.9, "reason": "fine"}'


@dataclass
class ListSpool:
    """Scores as they were written; `refuses` makes it lose the next ones."""

    scores: list[Score] = field(default_factory=list)
    refuses: int = 0
    synced: int = 0

    def write(self, record: Score) -> bool:
        if self.refuses:
            self.refuses -= 1
            return False
        self.scores.append(record)
        return True

    def maintain(self) -> None:
        self.synced += 1


@dataclass
class Desk:
    """One house with one release in its canary, and the scorers that a test starts one after the other."""

    root: Path
    plan: str = TONE
    models: ScriptedModels = field(default_factory=lambda: ScriptedModels(lambda _: YES))
    scorer: ScorerSettings = field(default_factory=ScorerSettings)
    spool: ListSpool = field(default_factory=ListSpool)
    numbers: int = 0

    def __post_init__(self) -> None:
        self.house = House(plan=STAGES + self.plan, root=self.root)
        self.house.adopt()
        self.release = self.house.push("Say it loud.")
        assert self.house.run_flow(self.release) == "canary", self.house.release(self.release).reason
        settings = self.house.app.settings.model_copy(update={"scorer": self.scorer})
        self.app: App = replace(self.house.app, settings=settings)
        settings.data.mkdir(parents=True, exist_ok=True)

    def answered(self, text: str = "Gladly.", *, age_s: float = 0.0, **changes: Any) -> str:
        """An answer as a gateway hands it on, in a file of its own; returns the request's id."""
        self.numbers += 1
        messages = [{"role": "user", "content": "I am jane@mail.example"}]
        sample = {
            "id": f"q-{self.numbers}", "at_ms": int((time.time() - age_s) * 1000), "prompt": "support", "version": "v",
            "arm": "candidate", "release": self.release, "stage": 0, "unit": "u", "plan": self.release, "checks": ["tone"],
            "api": "chat", "streamed": False, "latency_ms": 1.0, "question": orjson.dumps({"messages": messages}).decode(),
            "answer": completion(text).decode(),
        } | changes  # fmt: skip
        writer = SampleWriter(self.app.settings.samples, spool_bytes_max=10_000_000, age_s_max=1e9)
        writer.offer(sample, 100)
        writer.close()
        return str(sample["id"])

    def make(self) -> Scorer:
        means = Means(
            models=self.models, scripts=FakeScripts(), limits=Limits(concurrency=4, adaptive=False, deadline_s=5.0), pause=_no_pause
        )  # fmt: skip
        return Scorer(self.app, means, self.spool, poll_s=0.0, retry_s=0.0)

    async def score(self, *, until: Callable[[], bool] | None = None, turns: int = 400) -> None:
        """One scorer's life: until there is no file left, or so long."""
        left = turns

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left < 0 or (until() if until else left < turns - 1 and not self.files)

        await self.make().run(stop)

    @property
    def files(self) -> list[Path]:
        return sorted(self.app.settings.samples.glob("*.jsonl"))

    @property
    def found(self) -> dict[tuple[str, str], tuple[float, bool]]:
        return {(one.request, one.name): (one.value, one.passed) for one in self.spool.scores}


async def _no_pause(_seconds: float) -> None:
    return

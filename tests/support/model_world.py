"""A provider that changes under production's feet: it adds a model, moves an alias, announces a shutdown, gets worse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from promptship.adapters.memory.catalogue import MemoryProposals
from promptship.adapters.memory.models import ScriptedModels
from promptship.adapters.providers import HttpModels
from promptship.adapters.providers.catalogue import HttpCatalogue
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import Unavailable
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.app import App
from promptship.ports.catalogue import Listed, ListedModel, Unlisted
from promptship.settings import EvaluationSettings, ModelSettings, RetestSettings
from tests.support.house import House
from tests.support.standin import Asked, Said, stand_in

CASES = 12
SUITE = "cases:\n" + "\n".join(
    f"  - {{id: c{number}, messages: [{{role: user, content: Greet number {number}.}}],"
    " assert: [{type: icontains, value: hello}]}"
    for number in range(CASES)
)


@dataclass
class Provider:
    """What it says and does; change it at any time."""

    models: dict[str, str | None] = field(default_factory=lambda: {"sim-1": None})
    """By name the announced shutdown."""
    answers_as: dict[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    fails: dict[str, set[int]] = field(default_factory=dict)
    """By model the cases that it gets wrong."""
    costs: dict[str, float] = field(default_factory=dict)
    probe: str = "42"
    down: bool = False
    has_list: bool = True
    asked: int = 0
    """Answers that were paid."""

    def complete(self, request: ChatRequest) -> ChatAnswer | Exception:
        if self.down:
            return Unavailable("the provider is down", retry_after_s=1e6)
        self.asked += 1
        said = orjson.dumps(request.messages).decode()
        case = next((number for number in range(CASES) if f"Greet number {number}." in said), None)
        right = "no" if case in self.fails.get(request.model, ()) else "hello"
        return ChatAnswer(
            text=self.probe if case is None else right, model=self.answers_as.get(request.model, request.model),
            fingerprint=self.fingerprint, tokens_in=5, tokens_out=1, cost_usd=self.costs.get(request.model, 0.001),
            latency_ms=10.0,
        )  # fmt: skip

    async def listing(self, provider: str) -> Listed | Unlisted:
        if self.down:
            raise Unavailable("the provider is down")
        if not self.has_list:
            return Unlisted(provider=provider, reason="it has no list of models")
        models = [
            ListedModel(name=name, shuts_down_on=date.fromisoformat(on) if on else None)
            for name, on in self.models.items()
        ]
        return Listed(provider=provider, models=models)

    async def aclose(self) -> None:
        pass

    def answer(self, asked: Asked) -> Said:
        """The same over HTTP."""
        if self.down:
            return Said(status=503, content={})
        if asked.method == "GET":
            data = [{"id": name, "created": 1, "shutdown_date": on} for name, on in self.models.items()]
            return Said(content={"object": "list", "data": data}) if self.has_list else Said(404, {})
        answer = self.complete(ChatRequest(model=asked.json["model"], messages=tuple(asked.json["messages"])))
        assert isinstance(answer, ChatAnswer)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer.text},
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 5, "completion_tokens": 1, "cost": answer.cost_usd}
        return Said(
            content={
                "model": answer.model, "choices": [choice], "usage": usage,
                "system_fingerprint": self.fingerprint or None,
            }
        )  # fmt: skip


@dataclass
class ModelWorld:
    """Everything at hand."""

    house: House
    app: App
    provider: Provider

    def told(self) -> list[str]:
        return [text for _, text in self.house.approvals.told]


@contextmanager
def model_world(
    root: Path, *, suite: str = SUITE, known: tuple[str, ...] = ("sim-2",), http: bool = False, **retest: Any
) -> Iterator[ModelWorld]:
    """The prompt `support` in production on sim-1; everything in memory, or the provider on loopback. `known`: in `[models]`."""
    provider = Provider()
    with stand_in(provider.answer) if http else nullcontext() as standing:
        house = House(root=root)
        settings = house.app.settings
        sim = settings.providers["sim"]
        if standing is not None:
            sim = sim.model_copy(update={"base_url": f"{standing.url}/v1"})
        models = {**settings.models, **{name: ModelSettings(provider="sim") for name in known}}
        changes = {
            "providers": {"sim": sim}, "models": models, "retest": RetestSettings(**retest),
            "evaluation": EvaluationSettings(),
        }  # fmt: skip
        settings = settings.model_copy(update=changes)
        app = replace(
            house.app, settings=settings, proposals=MemoryProposals(house.repository),
            models=HttpModels(settings.providers, models, {}) if http else ScriptedModels(provider.complete),
            catalogue=HttpCatalogue(settings.providers, {}) if http else provider,
        )  # fmt: skip
        house.app = app
        adopt(app, [], ref=house.commit("Say hello.", **{"suites/support.yaml": suite}), actor="person:test")
        yield ModelWorld(house, app, provider)

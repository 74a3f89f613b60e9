"""promptfoo's providers in tests: made over a loopback server, asked without limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptship.adapters.providers.prices import Prices
from promptship.chat import ChatAnswer
from promptship.evals.promptfoo.model import CallContext, Provider, ProviderSpec
from promptship.evals.promptfoo.providers import Providers
from tests.support.asking import FakeAsking
from tests.support.loopback import Behaviour, Loopback
from tests.support.services import FakeScripts

KEYS = {
    name: f"{name}-s3cret"
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_API_KEY", "GOOGLE_API_KEY", "MISTRAL_API_KEY", "GROQ_API_KEY")
} | {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "AWS-s3cret", "PATH": "/usr/bin:/bin"}  # fmt: skip


@dataclass
class Bench:
    """A server and what makes providers for it."""

    server: Loopback
    providers: Providers
    base: Path
    asking: FakeAsking = field(default_factory=FakeAsking)
    scripts: Any = field(default_factory=FakeScripts)

    def make(
        self, id_: str, *, label: str = "", env: Mapping[str, str] | None = None, **config: Any
    ) -> Provider:
        return self.providers.make(
            ProviderSpec(id=id_, label=label, config=config, env=env or {}, base=self.base)
        )

    async def ask(self, provider: Provider, prompt: str = "Say hi", **context: Any) -> ChatAnswer:
        return await provider.call(prompt, CallContext(**context), self.asking, self.scripts)


@asynccontextmanager
async def bench(
    behaviour: Behaviour,
    base: Path = Path(),
    *,
    env: Mapping[str, str] | None = None,
    prices: Prices | None = None,
) -> AsyncIterator[Bench]:
    """`env` lies over the keys of `KEYS`; `{url}` in a value is the server's address."""
    async with Loopback(behaviour) as server:
        merged = {name: value.replace("{url}", server.url) for name, value in {**KEYS, **(env or {})}.items()}
        providers = Providers(env=merged, prices=prices)
        try:
            yield Bench(server, providers, base)
        finally:
            await providers.aclose()

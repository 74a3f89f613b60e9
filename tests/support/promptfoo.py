"""promptfoo configurations for tests: written to a directory, run with a provider that says what it was told to say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from promptship.chat import ChatAnswer
from promptship.evals.calls import Calls
from promptship.evals.promptfoo.loading import load_config
from promptship.evals.promptfoo.model import CallContext, ProviderSpec
from promptship.evals.promptfoo.run import Ended, Options, Plan, plan, run_config, write_results
from promptship.evals.rows import Row
from promptship.evals.services import Scripts, Services
from promptship.evals.session import Session
from promptship.evals.units import Asking
from tests.support.services import FakeScripts

Says = Callable[[str, CallContext], Any]


@dataclass
class FakeProvider:
    """`Provider`. `says` gets prompt and context; what it gives is the answer: text, data, a ChatAnswer, an exception to raise."""

    spec: ProviderSpec
    says: Says
    asked: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def label(self) -> str:
        return self.spec.label or self.spec.id

    @property
    def config(self) -> Mapping[str, Any]:
        return self.spec.config

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        self.asked.append(prompt)
        await asyncio.sleep(0)
        said = self.says(prompt, context)
        if asyncio.iscoroutine(said):
            said = await said
        if isinstance(said, Exception):
            raise said
        if isinstance(said, ChatAnswer):
            return said
        return (
            ChatAnswer(text=said) if isinstance(said, str) else ChatAnswer(text=json.dumps(said), value=said)
        )


def echo(prompt: str, _: CallContext) -> str:
    return prompt


@dataclass
class Run:
    """What came of a configuration."""

    plan: Plan
    ended: Ended
    rows: tuple[Row, ...]
    results: dict[str, Any]
    asked: list[str]

    @property
    def marks(self) -> list[tuple[int, int, str]]:
        """Test, column, verdict of every row."""
        names = ("pass", "fail", "error")
        found = [
            (one["testIdx"], one["promptIdx"], names[one["failureReason"]])
            for one in self.results["results"]["results"]
        ]
        return sorted(found)


def written(directory: Path, **config: Any) -> Path:
    """A configuration with one prompt and one provider unless it says otherwise."""
    data = {"prompts": ["{{text}}"], "providers": ["fake"], **config}
    (directory / "promptfooconfig.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return directory


async def planned(
    directory: Path, *, says: Says = echo, scripts: Any = None, env: Mapping[str, str] | None = None,
    options: Options | None = None, asked: list[str] | None = None,
) -> Plan:  # fmt: skip
    env = env or {}
    record = [] if asked is None else asked
    return await plan(
        load_config([], directory=directory, env=env), scripts=scripts or FakeScripts(), env=env, options=options,
        make=lambda spec: FakeProvider(spec, says, record),
    )  # fmt: skip


async def held(
    directory: Path, *, says: Says = echo, scripts: Any = None, env: Mapping[str, str] | None = None,
    options: Options | None = None, finished: Iterable[Row] = (), out: str = "out.json",
) -> Run:  # fmt: skip
    """Plan, run, write."""
    asked: list[str] = []
    made = await planned(directory, says=says, scripts=scripts, env=env, options=options, asked=asked)
    with Session.create(
        directory, what="test", digest=made.digest, arms=made.arms, cases=made.case_facts, trials=made.rows
    ) as session:
        kept = list(finished)
        for row in kept:
            session.add(row)  # as if the session had been taken up again
        services = Services(scripts=scripts or FakeScripts())
        ended = await run_config(made, services, Calls(), session=session, finished=kept)
        write_results([directory / out], made, session)
        rows = tuple(session.rows())
    text = (directory / out).read_text(encoding="utf-8")
    return Run(made, ended, rows, json.loads(text) if out.endswith(".json") else yaml.safe_load(text), asked)

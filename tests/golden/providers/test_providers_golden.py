"""What providers send, byte for byte of JSON, as promptfoo 0.123.1 sends it of the same configuration.

Each line of requests.jsonl is a provider with a prompt and the call that promptfoo was seen to make on a loopback server, without
headers that are its own (`x-promptfoo-version`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from promptship.adapters.providers.wire import Wire
from promptship.errors import PromptshipError
from promptship.evals.promptfoo.model import CallContext, ProviderSpec
from promptship.evals.promptfoo.nunjucks import Nunjucks
from promptship.evals.promptfoo.providers import Providers
from promptship.evals.scripts.pool import ScriptPool
from tests.support.asking import FakeAsking
from tests.support.loopback import Loopback
from tests.support.provider_stubs import ok

LINES = (Path(__file__).with_name("requests.jsonl")).read_text(encoding="utf-8").splitlines()
OWN = {"host", "content-length", "accept-encoding", "accept", "user-agent", "connection"}
ENV = {
    "AZURE_API_KEY": "az-key", "ANTHROPIC_API_KEY": "ak", "GOOGLE_API_KEY": "gk", "MISTRAL_API_KEY": "mk", "GROQ_API_KEY": "grk",
    "OPENAI_API_KEY": "k",
}  # fmt: skip


def rendered(prompt: str, variables: dict[str, Any]) -> str:
    """As a run does it: a prompt that is JSON is rendered text by text and written with an indent of 2."""
    try:
        value = orjson.loads(prompt)
    except ValueError:
        return Nunjucks().render(prompt, variables)
    text = Nunjucks().render(orjson.dumps(value).decode(), variables)
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in LINES]


async def test_every_call_is_the_same(cases: list[dict[str, Any]]) -> None:
    different = []
    async with Loopback(ok({"output": "x"})) as server, ScriptPool(1) as scripts:
        env = {**ENV, "OLLAMA_BASE_URL": server.url}
        providers = Providers(env=env, wire=Wire())
        for number, line in enumerate(LINES, start=1):
            case = orjson.loads(line.replace("{url}", server.url).replace("{host}", server.url[7:]))
            spec = ProviderSpec(id=case["id"], config=case["config"], base=Path(__file__).parent)
            context = CallContext(vars=case["vars"], prompt_config=case.get("options", {}))
            server.asked.clear()
            try:
                prompt = rendered(case["prompt"], case["vars"])
                await providers.make(spec).call(prompt, context, FakeAsking(), scripts)
            except PromptshipError as error:  # the server's one answer suits few
                refused = str(error)
            else:
                refused = ""
            sent = [_sent(asked.method, asked.path, asked.headers, asked.body) for asked in server.asked]
            if sent != [case["sent"]]:
                different.append((number, case["id"], sent, case["sent"], refused))
        await providers.aclose()
        await providers.tools.wire.aclose()
    assert different == []
    assert len(cases) > 60


def _sent(method: str, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        value = body.decode()
    kept = {name: text for name, text in headers.items() if name not in OWN}
    return {"method": method, "path": path, "headers": kept, "body": value}

"""`-c` with a limit: models without a price are refused before the run, in the words of native suites; code of one's own is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from promptship.adapters.providers.prices import Price, Prices
from promptship.errors import ConfigError
from promptship.evals.calls import Calls
from promptship.evals.promptfoo.budget import refuse_unpriced
from promptship.evals.promptfoo.graders import PromptfooGraders
from promptship.evals.promptfoo.loading import load_config
from promptship.evals.promptfoo.providers import Providers
from promptship.evals.promptfoo.run import plan
from tests.support.promptfoo import written
from tests.support.services import FakeScripts

ENV = {"OPENAI_API_KEY": "k", "OPENROUTER_API_KEY": "k", "PATH": "/usr/bin:/bin"}
OWN = Prices({"ours": Price(price_in=0.0, price_out=0.0)})
FREE = {"inputCost": 0, "outputCost": 0}


async def refused(directory: Path, spend_max_usd: float | None = 1.0, **config: Any) -> list[str]:
    (directory / "p.py").write_text(
        "def call_api(prompt, options, context):\n    return {'output': prompt}\n"
    )
    providers = Providers(env=ENV, prices=OWN)
    config = {"tests": [{"vars": {"text": "x"}}], **config}
    try:
        made = await plan(
            load_config([], directory=written(directory, **config), env=ENV), scripts=FakeScripts(), env=ENV, make=providers.make
        )  # fmt: skip
        graders = PromptfooGraders(providers, Calls(), FakeScripts(), directory)
        refuse_unpriced(made, graders, spend_max_usd)
    except ConfigError as error:
        return [problem.key for problem in error.problems]
    finally:
        await providers.aclose()
    return []


NAMELESS = 'models."nobody-knows".price_in'


@pytest.mark.parametrize(
    ("provider", "keys"),
    [
        ("echo", []),
        ("openai:chat:gpt-4.1", []),
        ("openai:chat:ours", []),
        ("openai:chat:nobody-knows", [NAMELESS]),
        ({"id": "openai:chat:nobody-knows", "config": FREE}, []),
        ({"id": "openai:chat:nobody-knows", "config": {"inputCost": 0}}, [NAMELESS]),
        ("openrouter:nobody/knows", []),
        ("ollama:chat:nobody-knows", [NAMELESS]),
        ("llama", ["providers[llama]"]),
        ({"id": "llama", "config": {"cost": 0}}, []),
        ("exec:cat", ["providers[exec:cat]"]),
        ("webhook:http://127.0.0.1:9/x", ["providers[webhook:http://127.0.0.1:9/x]"]),
        ("http://127.0.0.1:9/x", []),
        ("file://p.py", []),
        ({"id": "sequence", "config": {"provider": "exec:cat", "inputs": ["a"]}}, ["providers[sequence]"]),
    ],
)  # fmt: skip
async def test_a_provider_is_refused_exactly_when_nobody_could_count_it(
    provider: str | Mapping[str, Any], keys: list[str], tmp_path: Path
) -> None:
    assert await refused(tmp_path, providers=[provider]) == keys
    assert await refused(tmp_path, None, providers=[provider]) == []


JUDGED = {"type": "llm-rubric", "value": "kind", "provider": "openai:chat:nobody-knows"}


@pytest.mark.parametrize(
    ("test", "keys"),
    [
        ({"assert": [JUDGED]}, [NAMELESS]),
        ({"assert": [{"type": "assert-set", "assert": [JUDGED]}]}, [NAMELESS]),
        ({"options": {"provider": "openai:chat:nobody-knows"}, "assert": [{"type": "llm-rubric", "value": "kind"}]}, [NAMELESS]),
        ({"assert": [{**JUDGED, "type": "similar", "provider": "openai:embedding:nobody-knows"}]}, []),
        ({"provider": "openai:chat:nobody-knows"}, [NAMELESS]),
        ({"provider": "openai:chat:nobody-knows", "options": FREE}, []),
        ({"provider": "openai:chat:nobody-knows", "providerOutput": "said before"}, []),
    ],
)  # fmt: skip
async def test_judges_and_providers_of_single_tests_are_looked_at_too(
    test: dict[str, Any], keys: list[str], tmp_path: Path
) -> None:
    assert await refused(tmp_path, providers=["echo"], tests=[{"vars": {"text": "x"}, **test}]) == keys


async def test_it_is_said_in_the_words_of_native_suites(tmp_path: Path) -> None:
    providers = Providers(env=ENV)
    made = await plan(
        load_config([], directory=written(tmp_path, providers=["openai:chat:nobody-knows", "openai:chat:nobody-knows"], tests=[{"vars": {"text": "x"}}]), env=ENV),
        scripts=FakeScripts(), env=ENV, make=providers.make,
    )  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        refuse_unpriced(made, PromptfooGraders(providers, Calls(), FakeScripts(), tmp_path), 5.0)
    await providers.aclose()
    (problem,) = caught.value.problems
    assert str(problem) == (
        'promptship.toml: models."nobody-knows".price_in is missing; expected its price: the run may cost $5.00 at most, and its '
        "answers could not be counted (give price_in and price_out in USD per million tokens, 0 for a model of your own; or inputCost "
        "and outputCost in its config, USD per token; or pass --allow-unpriced)"
    )

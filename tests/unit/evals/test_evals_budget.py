"""A limit of cost is kept, or the run is not begun: every model whose answers it could not count is named."""

from __future__ import annotations

import pytest

from promptship.errors import ConfigError
from promptship.evals.asked import models_asked
from promptship.evals.budget import price_of, pricing, refuse_unpriced
from promptship.evals.rows import Arm
from promptship.prompts.model import Prompt
from promptship.settings import EvaluationSettings, ModelSettings, ProviderSettings, Settings
from tests.support.suites import prompt_of, suite_of

SUITE = """\
judge: {model: judge, embeddings: vectors, moderation: flags}
attacker: {model: attacker}
cases:
  - {id: a, vars: {question: one}, assert: [{type: contains, value: one}]}
"""
ARMS: dict[Arm, Prompt] = {
    "candidate": prompt_of(),
    "stable": prompt_of().model_copy(update={"model": "old"}),
}
CARE = "[{type: llm-rubric, value: kind}, {type: not-llm-rubric, value: rude, provider: strict}]"


def settings(limit: float | None = None, *, allow: bool = False, **prices: float) -> Settings:
    return Settings(
        providers={
            "far": ProviderSettings(base_url="https://api.example.com/v1"),
            "here": ProviderSettings(base_url="http://127.0.0.1:1/v1"),
        },
        models={
            "gpt-4.1": ModelSettings(provider="far"),
            **{name: ModelSettings(price_in=price, price_out=price) for name, price in prices.items()},
        },
        evaluation=EvaluationSettings(spend_max_usd=limit, allow_unpriced=allow),
    )


def refused(text: str, given: Settings, spend_max_usd: float | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        refuse_unpriced([suite_of(text)], ARMS, given, spend_max_usd=spend_max_usd)
    return [problem.key.split('"')[1] for problem in caught.value.problems]


def test_who_is_asked_by_a_suite() -> None:
    plain = models_asked(suite_of(SUITE), ARMS)
    assert (plain.chat, plain.other) == (("m", "old"), ())
    judged = models_asked(suite_of(SUITE.replace("assert: [", f"assert: [{CARE[1:-1]}, ")), ARMS)
    assert judged.chat == ("judge", "m", "old", "strict")
    inside = f"{{type: assert-set, assert: {CARE}}}"
    assert models_asked(suite_of(SUITE.replace("{type: contains, value: one}", inside)), ARMS) == judged
    vectors = SUITE.replace(
        "assert: [", "assert: [{type: similar, value: x, threshold: 0.5}, {type: moderation}, "
    )
    assert models_asked(suite_of(vectors), ARMS).other == ("flags", "vectors")
    own = vectors.replace("value: x,", "value: x, provider: others,")
    assert models_asked(suite_of(own), ARMS).other == ("flags", "others")
    attacked = SUITE.replace("vars:", "attack: {goal: x}, vars:")
    assert models_asked(suite_of(attacked), {}).chat == ("attacker",)


def test_a_limit_is_refused_exactly_when_an_answer_could_not_be_counted() -> None:
    refuse_unpriced([suite_of(SUITE)], ARMS, settings())
    assert refused(SUITE, settings(5.0)) == ["m", "old"]
    assert refused(SUITE, settings(), spend_max_usd=1.0) == ["m", "old"]
    assert refused("budget: {usd_max: 1}\n" + SUITE, settings()) == ["m", "old"]
    assert refused(SUITE, settings(5.0, m=0.0)) == ["old"]
    refuse_unpriced([suite_of(SUITE)], ARMS, settings(5.0, m=1.0, old=0.0))
    refuse_unpriced([suite_of(SUITE)], ARMS, settings(5.0, allow=True))
    judged = SUITE.replace("assert: [", "assert: [{type: llm-rubric, value: kind}, ")
    assert refused(judged, settings(5.0, m=1.0, old=1.0)) == ["judge"]


def test_the_error_says_which_model_which_limit_and_what_to_do() -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_unpriced(
            [suite_of("budget: {usd_max: 2.5}\n" + SUITE)], ARMS, settings(9.0, old=1.0), advice="or else"
        )
    said = str(caught.value)
    assert said.startswith('promptship.toml: models."m".price_in is missing')
    assert "suite s may cost $2.50 at most" in said
    assert "price_in and price_out" in said
    assert said.endswith("or else)")
    assert len(said.splitlines()) == 1


def test_a_list_price_is_one_only_where_the_vendor_may_answer() -> None:
    given = settings()
    assert price_of(given, "gpt-4.1") is not None
    near = given.model_copy(update={"models": {"gpt-4.1": ModelSettings(provider="here")}})
    assert price_of(near, "gpt-4.1") is None
    assert pricing(settings(m=2.0))("m", 1_000_000, 500_000) == 3.0
    assert pricing(settings())("m", 1, 1) is None

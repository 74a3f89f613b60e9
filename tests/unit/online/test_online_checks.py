"""Checks of a plan: what is refused before a release gets traffic, budgets, redaction, and whose checks score a prompt."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from promptship.adapters.memory.clock import MemoryClock
from promptship.adapters.memory.repository import MemoryRepository
from promptship.errors import ConfigError
from promptship.evals.online.budget import MINUTE_S, Meter
from promptship.evals.online.checks import refuse_wrong
from promptship.evals.online.redaction import Redaction
from promptship.lifecycle.sampling import Samplings
from promptship.prompts.model import Message, Prompt, Variable
from promptship.release.online import Online
from promptship.routing.sampling import Drawn, Sampling
from promptship.settings import ModelSettings, ProviderSettings, ScorerSettings, Settings
from tests.support.house import STAGES, House
from tests.support.online import TONE

PROMPT = Prompt(
    name="support", messages=(Message(role="user", content="{{ shop }}"),), variables={"shop": Variable()}
)
SETTINGS = Settings(
    providers={"sim": ProviderSettings(base_url="http://127.0.0.1:1/v1")},
    models={
        "free": ModelSettings(provider="sim", price_in=0, price_out=0),
        "dear": ModelSettings(provider="sim"),
    },
)


def wrong(*checks: dict[str, Any], settings: Settings = SETTINGS, **online: Any) -> list[tuple[str, str]]:
    repository = MemoryRepository()
    commit = repository.commit({"suites/rubric.txt": b"It helps."}, author="dev@example.org")
    named = [
        {"name": f"c{number}", "assert": check} | check.pop("more", {}) for number, check in enumerate(checks)
    ]
    plan = Online.model_validate({"checks": named, **online})
    try:
        refuse_wrong(settings, plan, repository.tree(commit), PROMPT)
    except ConfigError as error:
        return [(problem.key, f"{problem.expected} {problem.advice}") for problem in error.problems]
    return []


FINE: list[dict[str, Any]] = [
    {"type": "contains", "value": "x"},
    {"type": "not-regex", "value": "(?i)whatever"},
    {"type": "is-json", "value": {"type": "object"}},
    {"type": "is-refusal"},
    {"type": "contains", "value": "{{ shop }}", "more": {"variables": True}},
    {"type": "llm-rubric", "value": "file://rubric.txt"},
    {"type": "g-eval", "value": "kind"},
    {"type": "redteam:planted", "value": "4711"},
    {"type": "moderation", "more": {"judge": {"model": "free", "moderation": "free"}}},
    {"type": "llm-rubric", "value": "r", "more": {"spend_max_usd": 1}},
    {"type": "assert-set", "assert": [{"type": "contains", "value": "x"}, {"type": "is-refusal"}]},
]


def test_whatever_a_suite_may_demand_of_one_answer_is_a_check() -> None:
    assert wrong(*FINE, judge={"model": "free"}) == []


@pytest.mark.parametrize(
    ("check", "key", "says"),
    [
        ({"type": "containz", "value": "x"}, "assert.type", "did you mean contains?"),
        ({"type": "contains"}, "assert.value", "expected text"),
        ({"type": "llm-rubric", "value": "r"}, "assert.type", "needs a judge"),
        ({"type": "llm-rubric", "value": "file://none.txt", "more": {"judge": {"model": "free"}}}, "assert.value", "no suites/none.txt"),
        ({"type": "select-best", "value": "r"}, "assert.type", "expected an assertion about one answer"),
        ({"type": "human"}, "assert.type", "waits for a person"),
        ({"type": "cost", "threshold": 1}, "assert.type", "a guardrail on cost_usd"),
        ({"type": "contains", "value": "{{ shop }}"}, "assert", "shop"),
        ({"type": "llm-rubric", "value": "r", "more": {"judge": {"model": "dear"}, "spend_max_usd": 1}}, "judge.model", "expected its price"),
        ({"typ": "contains"}, "assert.typ", ""),
    ],
)  # fmt: skip
def test_what_could_never_have_a_score_is_refused(check: dict[str, Any], key: str, says: str) -> None:
    ((found, told),) = wrong({"type": "is-json"}, check)[:1]
    assert found.startswith(f"online.checks[1].{key}")
    assert says in told


def test_a_limit_of_all_judges_needs_prices_too() -> None:
    settings = SETTINGS.model_copy(update={"scorer": ScorerSettings(spend_max_usd=1)})
    check = {"type": "llm-rubric", "value": "r", "more": {"judge": {"model": "dear"}}}
    assert len(wrong(check, settings=settings)) == 1


@pytest.mark.parametrize(
    "online",
    [
        {"checks": [{"name": "a", "assert": {}}, {"name": "a", "assert": {}}]},
        {"checks": [{"name": "A", "assert": {}}]},
        {"checks": [{"name": "a", "assert": {}, "stable": 0}]},
        {"checks": [{"name": "a", "assert": {}, "candidate": 1.1}]},
        {"checks": [{"name": "a", "assert": {}, "threshold": 2}]},
        {"keep": "some"},
    ],
)
def test_a_plan_says_nothing_odd_about_scoring(online: Any) -> None:
    with pytest.raises(ValidationError):
        Online.model_validate(online)


@given(st.lists(st.floats(0, 5, allow_subnormal=False), max_size=8), st.floats(0.01, 10), st.integers(0, 3))
def test_a_budget_is_spent_exactly_when_it_and_what_is_under_way_reach_the_limit(
    costs: list[float], most: float, flying: int
) -> None:
    meter = Meter(MemoryClock(), most)
    for cost in costs:
        meter.paid(cost)
    meter.flying = flying
    mean = sum(costs) / len(costs) if costs else 0.0
    assert meter.is_spent == (sum(costs) + flying * mean >= most)


def test_what_nobody_knows_the_price_of_counts_as_the_others_and_a_day_begins_at_nothing() -> None:
    clock = MemoryClock()
    meter = Meter(clock, 1.0)
    meter.paid(0.4)
    meter.paid(None)
    assert meter.spent_usd == pytest.approx(0.8)
    clock.advance(timedelta(days=1).total_seconds())
    assert not meter.is_spent
    assert meter.spent_usd == 0


@given(st.lists(st.floats(0, 40), min_size=1, max_size=30), st.integers(1, 4))
def test_no_minute_has_more_calls_than_it_may(pauses: list[float], most: int) -> None:
    meter, now = Meter(MemoryClock(), None, most), 0.0
    starts: list[float] = []
    for pause in pauses:
        now += pause
        recent = sum(now - start < MINUTE_S for start in starts)
        wait_s = meter.wait_s(now)
        assert (wait_s == 0) == (recent < most)
        starts += [now] * (wait_s == 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Write to jane.doe+x@mail.example.org.", "Write to [e-mail]."),
        ("Call +49 (170) 123-4567 now", "Call [phone] now"),
        ("Call 0049 170 1234567", "Call [phone]"),
        ("Call (415) 555-2671", "Call [phone]"),
        ("Call 0170 1234567", "Call [phone]"),
        ("Card 4111 1111 1111 1111", "Card [number]"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [number]"),
        ("key sk-abcdefghijklmnop1234", "key [redacted]"),
        ("customer C-1234", "customer [redacted]"),
        (
            "Order 1234 of 2026-11-22, 3.5 kg, 12:30, $99.95",
            "Order 1234 of 2026-11-22, 3.5 kg, 12:30, $99.95",
        ),
    ],
)
def test_what_is_taken_out_of_a_text_and_what_is_not(text: str, told: str) -> None:
    redaction = Redaction.of((r"C-\d+",))
    assert redaction.text(text) == told
    assert redaction.data({"a": [text], "b": (text, 1)}) == {"a": [told], "b": (told, 1)}


@given(st.text(max_size=80))
def test_redacting_twice_changes_nothing(text: str) -> None:
    redaction = Redaction()
    assert redaction.text(redaction.text(text)) == redaction.text(text)


def test_a_prompt_is_scored_by_the_plan_that_its_traffic_runs_under(tmp_path: Path) -> None:
    house = House(plan=STAGES + TONE, root=tmp_path)
    samplings = Samplings(house.app)

    def now() -> Sampling | None:
        return samplings.add(house.routes.table()).sampling.get("support")

    house.adopt()
    assert now() is None  # nobody reviewed checks for what was there before
    first = house.push("Say hello loudly.")
    house.run_flow(first)
    tone = Drawn(name="tone", candidate=1.0, stable=0.1)
    assert now() == Sampling(release=first, checks=(tone,))
    house.until(first, "awaiting_approval", bad=0.02)
    house.promote(first)
    assert now() == Sampling(release=first, checks=(tone,))
    house.plan = STAGES + TONE.replace("tone", "other")
    second = house.push("Say hello twice.")
    house.run_flow(second)
    assert now() == Sampling(release=second, checks=(tone.model_copy(update={"name": "other"}),))
    house.until(second, "rolled_back", bad=0.9)
    assert now() == Sampling(release=first, checks=(tone,))

"""Any release, however odd its numbers and texts, makes messages that Slack takes, and a chart that can be drawn."""

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk import WebClient

from promptship.adapters.slack import SlackThread, reject_view
from promptship.adapters.slack.blocks import blocks, fallback
from promptship.adapters.slack.picture import fonts, png
from promptship.canary.evidence import ArmCounts, Counts, Finding, Outcome, Verdict
from promptship.prompts.model import RiskClass
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.release.plan import Approval, Plan
from promptship.render.card import approval_card, outcome_card
from promptship.render.chart import release_chart, verdict_chart
from promptship.render.costs import cost_and_latency
from promptship.settings import Settings
from tests.support.plane import World
from tests.support.slack_limits import breaches, view_breaches
from tests.support.verdicts import hold

AT = datetime(2026, 1, 1, tzinfo=UTC)
wild = st.text(max_size=40) | st.sampled_from(
    ["<!channel>", "&" * 4000, "🙂" * 2000, "x" * 9000, "a\n**b:** `c`", "\x00\x1b]0;"]
)
numbers = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1)
arms = st.builds(
    ArmCounts, candidate=st.builds(Counts, requests=st.integers(0, 10**9), events=st.just(0)),
    stable=st.builds(Counts, requests=st.integers(0, 10**9), events=st.just(0)),
)  # fmt: skip
findings = st.builds(
    Finding, rule=st.sampled_from(["error_rate", "cost_usd", "latency_p95", "score:tone", "feedback:" + "z" * 60, "dwell"]),
    outcome=st.sampled_from(Outcome), because=wild, counts=st.none() | arms, rate_candidate=numbers, rate_stable=numbers,
    mean_candidate=numbers, mean_stable=numbers, e_value=numbers, threshold=numbers, threshold_safe=numbers, e_harm=numbers,
    e_safe=numbers, needs=wild,
)  # fmt: skip
verdicts = st.builds(
    Verdict,
    stage=st.integers(0, 20),
    look=st.integers(1, 10**6),
    findings=st.lists(findings, max_size=20).map(tuple),
)
histogram = st.dictionaries(st.integers(0, 900).map(str), st.integers(1, 10**6), max_size=3).map(
    lambda buckets: {"buckets": buckets}
)
both = st.fixed_dictionaries({"candidate": histogram, "stable": histogram})
given_to_looks = st.fixed_dictionaries(
    {
        "counts": st.fixed_dictionaries(
            {}, optional={"latency": both, "means": both.map(lambda one: {"cost_usd": one})}
        )
    }
)
looks = st.builds(
    e.Looked, stage=st.just(0), look=st.just(1), as_of=st.just(AT), state=st.just({}),
    verdict=verdicts.map(lambda one: one.model_dump(mode="python")) | st.just({"kind": "of old"}),
    given=st.none() | given_to_looks | st.just({"counts": "odd"}),
)  # fmt: skip
summary = st.dictionaries(
    st.sampled_from(["tokens_in", "tokens_out", "trials", "latency_ms_median", "pass_rate"]),
    numbers | st.integers(0, 10**6),
)
suites = st.none() | st.fixed_dictionaries(
    {"suites": st.lists(st.fixed_dictionaries({"suite": wild, "because": wild, "stable": summary, "candidate": summary}), max_size=30)}
)  # fmt: skip
releases = st.builds(
    Release, id=st.just("r-1"), seq=st.integers(0, 10**6), phase=st.sampled_from(Phase), prompt=wild, path=wild, commit=wild, author=wild,
    opened_at=st.just(AT), moved_at=st.just(AT), version=st.none() | wild, stable=st.none() | wild, reason=wild,
    plan=st.builds(Plan, approval=st.builds(Approval, expires_into=st.sampled_from(["rollback", "cancel"]))),
    risk=st.sampled_from([risk.value for risk in RiskClass]), suite_verdict=suites, last_look=st.none() | looks,
    question=st.sampled_from([None, "promote", "first", "of tomorrow"]), question_seq=st.integers(-1, 10**6),
    required=st.integers(0, 10), expires_at=st.none() | st.just(AT + timedelta(days=1)), approvers=st.lists(wild, max_size=10).map(tuple),
    ended_at=st.none() | st.just(AT + timedelta(hours=1)), share=st.floats(0, 1),
)  # fmt: skip


@settings(max_examples=10, deadline=None)
@given(release=releases, diff=wild)
def test_any_release_makes_messages_that_slack_takes(release: Release, diff: str) -> None:
    chart = release_chart(release)
    for card in (
        approval_card(release, diff=diff, url="https://x/releases/r-1", chart=chart),
        outcome_card(release, url="https://x/releases/r-1"),
    ):
        assert breaches(blocks(card)) == []
        assert len(fallback(card)) <= 3000
    thread = SlackThread(World(Settings()).app, WebClient(), "C1")
    assert breaches(thread._head(release)) == []
    assert (
        view_breaches(reject_view(release_id="r-1", seq=release.seq, prompt=release.prompt, channel="C1"))
        == []
    )
    if chart:
        ET.fromstring(chart)


@settings(max_examples=30, deadline=None)
@given(release=releases)
def test_what_was_not_measured_has_no_number(release: Release) -> None:
    for text in cost_and_latency(release):
        assert text
        assert "nan" not in text
        assert "inf" not in text


def test_a_chart_is_drawn_exactly_when_something_was_measured() -> None:
    look = e.Looked(stage=0, look=1, as_of=AT, state={}, verdict=hold().model_dump(mode="json"))
    base: dict[str, Any] = {
        "id": "r", "seq": 1, "phase": Phase.CANARY, "prompt": "support", "path": "p", "commit": "c", "author": "a",
        "opened_at": AT, "moved_at": AT,
    }  # fmt: skip
    assert release_chart(Release(**base)) == ""
    drawn = png(release_chart(Release(**base, last_look=look, share=0.05)))
    assert drawn is not None
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(drawn[16:20], "big") == 2000
    assert png("<svg") is None
    dwell = Verdict(stage=0, look=1, findings=(Finding(rule="dwell", outcome=Outcome.HOLD, because="wait"),))
    assert verdict_chart("p", dwell) == ""


def test_the_font_is_installed_with_us() -> None:
    assert len(fonts()) == 2
    plain = verdict_chart("a", hold())
    assert png(plain) != png(plain.replace(">hold<", "> <"))


def test_cost_and_latency_are_told_from_live_traffic_before_suites() -> None:
    buckets = {"stable": {"buckets": {"160": 10}}, "candidate": {"buckets": {"176": 10}}}
    cost = {"cost_usd": {"stable": {"buckets": {"250": 10}}, "candidate": {"buckets": {"266": 10}}}}
    look = e.Looked(
        stage=0, look=1, as_of=AT, state={}, verdict={}, given={"counts": {"latency": buckets, "means": cost}}
    )
    arm = {"trials": 10, "unscored": 0, "tokens_in": 1000, "tokens_out": 500, "latency_ms_median": 400.0}
    verdict: Any = {
        "suites": [{"stable": arm, "candidate": {**arm, "tokens_out": 800, "latency_ms_median": 300.0}}]
    }
    base: dict[str, Any] = {
        "id": "r", "seq": 1, "phase": Phase.CANARY, "prompt": "support", "path": "p", "commit": "c", "author": "a",
        "opened_at": AT, "moved_at": AT, "suite_verdict": verdict,
    }  # fmt: skip
    tokens, latency = cost_and_latency(Release(**base))
    assert tokens == "150 tokens → 180 tokens, +20% (suites)"
    assert latency == "median 400 ms → 300 ms, -25% (suites)"
    live, latency = cost_and_latency(Release(**base, last_look=look))
    assert live.endswith(", +100% (live traffic)")
    assert latency.startswith("median 1.1 s → 2.1 s, +100%; p95 ")
    assert cost_and_latency(Release(**{**base, "suite_verdict": None})) == ("not measured", "not measured")

"""Reports for tests: a small one with text that bites, and large ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from promptship.evals.compare import compare
from promptship.evals.promptfoo.model import Effect, Note
from promptship.evals.reports.model import Report
from promptship.evals.rows import ArmFacts, Asserted, CaseFacts, Row, SuiteRun
from promptship.evals.score import Score, Scored, Unscored
from promptship.evals.suite_file import Severity

AT = datetime(2026, 3, 4, 14, 2, 9, tzinfo=UTC)
NASTY = (
    "<script>alert('x')</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!-- <script>",
    "a|b `c` *d* _e_ [f](https://g) @h #1 \\|",
    "line one\nline two\r\nthree\ttab",
    '=cmd|\'/C calc\'!A0 "quoted", and more',
    "+1", "-1", "@sum(1)", "'=1",
    "\u0645\u0631\u062d\u0628\u0627 \u202eabc\u202c",
    "emoji \U0001f680\U0001f468\u200d\U0001f469\u200d\U0001f467 \u4f60\u597d",
    "control \x00\x07\x1b[31m\x7f end",
    "sep \u2028\u2029 \ufeff \ufffe \ud800",
    "{{ 7*7 }} {% raw %} & &lt; ]]>",
)  # fmt: skip


def row_of(case: str, arm: str, score: Score, answer: str = "", *, trial: int = 0, **more: Any) -> Row:
    """One trial with the numbers of a usual provider."""
    plain: dict[str, Any] = {
        "latency_ms": 120.0 + 10 * trial,
        "tokens_in": 40,
        "tokens_out": 12,
        "cost_usd": 0.00021,
        "answers": (answer,) if answer else (),
    }
    return Row(case=case, arm=arm, trial=trial, digest="d" * 8, score=score, **(plain | more))


def asserted(label: str, score: Score, **more: Any) -> Asserted:
    return Asserted(label=label, turn=0, score=score, **more)


def small_report() -> Report:
    """Candidate against stable: four cases of two trials; one blocking case lost, one without scores."""
    cases = (
        CaseFacts(id="refund", severity=Severity.BLOCKING, description="asks for money back", tags=("billing",), vars={"order": 17}),
        CaseFacts(id="a|b_<script>", tags=("billing", "owasp:LLM01"), vars={"text": NASTY[1], "like": {"a": [1, None]}}),
        CaseFacts(id="greeting", description=NASTY[11], tags=("small talk",)),
        CaseFacts(id="=cmd()", origin="incident"),
    )  # fmt: skip
    rows = _small_rows()
    run = SuiteRun(suite="support", arms=("candidate", "stable"), cases=cases, rows=tuple(rows))
    verdict = compare(run, margin=0.05, alpha=0.05, unscored_max=0.5)
    return Report(
        title="support | v8",
        id="r-1",
        at=AT,
        inputs={"commit": "abc123"},
        cases=cases,
        verdicts=(verdict,),
        arms=(
            ArmFacts(key="candidate", prompt="v8", model="gpt-4.1"),
            ArmFacts(key="stable", prompt="v7", model="gpt-4.1"),
        ),
        rows=lambda: iter(reversed(rows)),
        notes=(
            Note(
                where="promptfooconfig.yaml: sharing",
                effect=Effect.IGNORED,
                what="there is no <web> page",
                advice="leave it out",
            ),
        ),
        duration_s=12.5,
        reused=3,
    )


def _small_rows() -> list[Row]:
    no = Scored(False, 0.0, "no `refund` in it\nat all")
    fails = (
        asserted("contains", no, type="contains", metric="found", value="refund"),
        asserted("tone", Scored(True, 0.8), said="kind"),
    )
    passes = (asserted("contains", Scored(True, 1.0)), asserted("tone", Scored(True, 0.75), metric="tone"))
    lost = Unscored("the judge timed out", "after 30 s, at <b>")
    return [
        row_of("refund", "candidate", no, "We are sorry, no.", asserted=fails, named={"found": 0.0}),
        row_of(
            "refund",
            "candidate",
            no,
            "No.",
            trial=1,
            asserted=fails,
            named={"found": 0.0},
            finish_reason="length",
        ),
        row_of("refund", "stable", Scored(True, 1.0), "Here is your refund.", asserted=passes, cached=True),
        row_of("refund", "stable", Scored(True, 1.0), "Your refund is on its way.", trial=1, asserted=passes),
        row_of("a|b_<script>", "candidate", Scored(True, 1.0, "fine"), NASTY[0] + NASTY[1], sent=NASTY[2]),
        row_of(
            "a|b_<script>",
            "candidate",
            Scored(False, 0.25),
            NASTY[5],
            trial=1,
            asserted=(asserted(NASTY[3], no),),
        ),
        row_of("a|b_<script>", "stable", Scored(True, 1.0), NASTY[4]),
        row_of("a|b_<script>", "stable", Scored(True, 1.0), NASTY[12], trial=1, cost_usd=None),
        row_of("greeting", "candidate", Scored(True, 1.0), NASTY[10]),
        row_of("greeting", "candidate", Scored(True, 1.0), NASTY[11], trial=1, named={"found": 1.0}),
        row_of("greeting", "stable", Scored(False, 0.0), NASTY[13]),
        row_of("greeting", "stable", Scored(False, 0.0), NASTY[14], trial=1),
        row_of("=cmd()", "candidate", lost, "an answer", judge_tokens=90, judge_cost_usd=0.001),
        row_of(
            "=cmd()",
            "candidate",
            Unscored("no answer"),
            trial=1,
            error="HTTP 500: <oops>",
            latency_ms=None,
            cost_usd=None,
            tokens_in=None,
            tokens_out=None,
        ),
        row_of("=cmd()", "stable", Scored(True, 1.0), "@all fine"),
        row_of("=cmd()", "stable", Scored(True, 1.0), "-fine", trial=1, latency_ms=float("nan")),
    ]


def matrix_report(
    prompts: Sequence[str] = ("terse", "kind"),
    models: Sequence[str] = ("gpt-4.1", "gpt-4.1-mini"),
    cases: int = 12,
) -> Report:
    """Prompts x models, one trial each; what passes is a pattern."""
    arms = tuple(ArmFacts(key=f"{prompt}/{model}", prompt=prompt, model=model) for prompt in prompts for model in models)  # fmt: skip
    facts = tuple(CaseFacts(id=f"case-{n}", tags=("even",) if n % 2 == 0 else ()) for n in range(cases))

    def rows() -> Iterator[Row]:
        for place, arm in enumerate(arms):
            for n, case in enumerate(facts):
                passed = n % (place + 3) != 1
                score = Scored(passed, float(passed), "" if passed else "too long")
                cost = 0.0008 / (place + 1)
                failing = () if passed else (asserted("length", score),)
                yield row_of(case.id, arm.key, score, f"answer {n} of {arm.prompt}", cost_usd=cost, latency_ms=900.0 / (place + 1) + n, asserted=failing)  # fmt: skip

    return Report(title="Which model?", arms=arms, cases=facts, rows=rows, duration_s=61.0)


def large_report(cases: int, trials: int = 1, length: int = 700) -> Report:
    """Candidate and stable over many cases, made while they are read."""
    facts = tuple(
        CaseFacts(id=f"ticket-{n:05d}", description=f"customer {n} writes about order {n * 7}", tags=(f"topic {n % 7}", *(("vip",) if n % 11 == 0 else ())), vars={"order": n, "text": f"my order {n * 7} is late"})
        for n in range(cases)
    )  # fmt: skip
    words = re.findall(
        r"\w+", "thank you for writing to us we are sorry that your order is late and will send it today"
    )

    def rows() -> Iterator[Row]:
        for n, case in enumerate(facts):
            for trial in range(trials):
                for arm in ("candidate", "stable"):
                    seed = n * 31 + trial * 7 + (3 if arm == "candidate" else 0)
                    text = f"Dear customer {n}: " + " ".join(words[(seed * (i + 1) + i) % len(words) if i % 9 == 0 else i % len(words)] for i in range(length // 6))  # fmt: skip
                    bad = seed % 17 == 0 if arm == "candidate" else seed % 29 == 0
                    score: Score = Unscored("the judge timed out") if seed % 211 == 0 else Scored(not bad, 0.0 if bad else 1.0, "no order number" if bad else "")  # fmt: skip
                    checks = (
                        asserted("contains", score),
                        asserted("is-json", Scored(True, 1.0)),
                        asserted("tone", Scored(True, 0.9), metric="tone"),
                    )
                    yield row_of(
                        case.id,
                        arm,
                        score,
                        text,
                        trial=trial,
                        asserted=checks,
                        latency_ms=300.0 + seed % 400,
                        named={"tone": 0.9},
                        sent=f"You are helpful.\n\nmy order {n * 7} is late",
                    )

    run = SuiteRun(
        suite="support",
        arms=("candidate", "stable"),
        cases=facts,
        rows=tuple(row.slim() for row in rows()) if cases <= 5_000 else (),
    )
    arms = (
        ArmFacts(key="candidate", prompt="v8", model="gpt-4.1"),
        ArmFacts(key="stable", prompt="v7", model="gpt-4.1"),
    )
    verdicts = (compare(run, margin=0.03, alpha=0.05, unscored_max=0.05),) if run.rows else ()
    return Report(
        title="support-reply, v7 to v8",
        id="r-20260304-1",
        at=AT,
        inputs={"commit": "4f2c91d", "trials": str(trials)},
        cases=facts,
        arms=arms,
        rows=rows,
        verdicts=verdicts,
        duration_s=431.0,
        reused=120,
    )

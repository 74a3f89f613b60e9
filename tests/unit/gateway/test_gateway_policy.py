"""The policy of an experiment at the gateway: attributes come in a header, the decision goes into the line, the rest nowhere."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from promptship.gateway.attributes import disclosure_value
from promptship.prompts.digest import canonical, digest
from promptship.prompts.model import Prompt
from promptship.release.policy import Experiment
from promptship.routing.table import Route, RoutingTable, Version
from tests.support.gateway import CANDIDATE, STABLE_DIGEST, bench, prompt, table

ALL = table(candidate=CANDIDATE, share=1.0)


def routes(policy: Experiment, known: RoutingTable = ALL) -> RoutingTable:
    route = known.routes["support"]
    assert route.split is not None
    split = route.split.model_copy(update={"policy": policy})
    return known.model_copy(update={"routes": {"support": route.model_copy(update={"split": split})}})


def said(**attributes: Any) -> dict[str, str]:
    return {"x-promptship-attributes": json.dumps(attributes), "x-unit-id": "user-17"}


@pytest.mark.parametrize(
    ("headers", "decision"),
    [
        (said(region="de", consent=True), "in"),
        (said(region="DE", consent=True, shoe_size=43.5, nickname=None), "in"),
        (said(region="br", consent=True), "excluded"),
        (said(consent=True), "unknown"),
        (said(region="de"), "no_consent"),
        ({"x-unit-id": "user-17"}, "unknown"),
        ({"x-promptship-attributes": '{"region": "de", "consent": true}'}, "no_unit"),
    ],
)
async def test_the_line_says_why_and_nothing_else_of_the_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, headers: dict[str, str], decision: str
) -> None:
    caplog.set_level(logging.DEBUG)
    policy = Experiment(exclude={"region": ("br",)}, consent="required", disclosure="We try a new wording.")
    gateway = bench(tmp_path, routes=routes(policy))
    heard = await gateway.chat(headers=headers)
    inside = decision == "in"
    (line,) = gateway.spool.observations
    assert (line.decision, line.arm) == (decision, "candidate" if inside else "stable")
    assert (line.release is not None) == (line.unit is not None) == inside
    assert heard.headers.get("x-promptship-disclosure") == ("We try a new wording." if inside else None)
    # Neither the line, nor the provider, nor a log has any of it.
    told = line.model_dump_json() + json.dumps(gateway.upstream.asked) + repr(gateway.upstream.apis)
    for secret in ("region", "nickname", "shoe_size", 'consent\\"', 'consent":', "user-17"):
        assert secret not in told + caplog.text


async def test_everybody_in_the_experiment_is_told_in_both_arms(tmp_path: Path) -> None:
    half = table(candidate=CANDIDATE, share=0.5)
    gateway = bench(tmp_path, routes=routes(Experiment(disclosure="Wir erproben »Neues«."), half))
    arms = set()
    for number in range(20):
        heard = await gateway.chat(headers={"x-unit-id": f"user-{number}"})
        arms.add(heard.headers["x-promptship-arm"])
        value = heard.headers["x-promptship-disclosure"]
        assert value.isascii()
        assert unquote(value.removeprefix("UTF-8''")) == "Wir erproben »Neues«."
    assert arms == {"stable", "candidate"}


async def test_without_a_canary_nobody_is_told_and_nothing_is_decided(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    heard = await gateway.chat(headers=said(minor=True))
    assert "x-promptship-disclosure" not in heard.headers
    assert gateway.spool.observations[0].decision == ""


@pytest.mark.parametrize(
    "value",
    [
        "oops",
        "[1]",
        '{"Minor": true}',
        '{"minor\\n": true}',
        '{"region": ["de"]}',
        '{"n": NaN}',
        '{"a": "' + "x" * 5000 + '"}',
    ],
)
async def test_wrong_attributes_are_refused_with_or_without_a_canary(tmp_path: Path, value: str) -> None:
    for known in (table(), ALL):
        gateway = bench(tmp_path, routes=known)
        heard = await gateway.chat(headers={"x-promptship-attributes": value})
        assert (heard.status, heard.error["code"]) == (400, "invalid_attributes")
        assert value not in heard.error["message"]
        assert gateway.spool.lines == []


async def test_an_application_with_a_key_is_who_its_key_says(tmp_path: Path) -> None:
    key = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # sha256 of "test"
    policy = Experiment(segments={"application": ("web",)})
    gateway = bench(tmp_path, routes=routes(policy), applications={"shop": key})
    headers = {"authorization": "Bearer test", **said(application="web")}
    await gateway.chat(headers=headers)
    assert gateway.spool.observations[0].decision == "outside"
    gateway.know(routes(Experiment(segments={"application": ("Shop",)}), ALL))
    await gateway.chat(headers={"authorization": "Bearer test", "x-unit-id": "user-17"})
    assert gateway.spool.observations[1].decision == "in"


@pytest.mark.parametrize("text", ["plain", "ü", "UTF-8''x", " spaced ", '100 % "sure"', "新"])
def test_a_disclosure_is_read_back_by_one_rule(text: str) -> None:
    value = disclosure_value(text).decode("ascii")
    assert (unquote(value[7:]) if value.startswith("UTF-8''") else value) == text


@pytest.mark.parametrize("text", ["two\nlines", "a\rb", "\x00", "x" * 301])
def test_a_disclosure_is_one_printable_line(text: str) -> None:
    with pytest.raises(ValueError, match="disclosure"):
        Experiment(disclosure=text)


def killed_routes(safe: Prompt) -> RoutingTable:
    """As the control plane tells it while the switch is on."""
    content = Version(digest=digest(safe), commit="c", content=canonical(safe))
    route = Route(prompt="support", revision=2, stable=content.digest, killed=content.digest)
    return RoutingTable(revision=2, routes={"support": route}, versions={content.digest: content})


async def test_under_the_kill_switch_callers_are_answered_with_the_variables_they_know(
    tmp_path: Path,
) -> None:
    safe = prompt("A person will answer you.", variables={})
    gateway = bench(tmp_path, routes=ALL)
    gateway.know(killed_routes(safe))
    heard = await gateway.chat(headers={"x-unit-id": "user-17"})
    assert heard.status == 200
    assert heard.headers["x-promptship-version"] == digest(safe)
    assert gateway.upstream.asked[-1][1]["messages"][0]["content"] == "A person will answer you."
    (line,) = gateway.spool.observations
    assert (line.decision, line.release, line.arm) == ("killed", None, "stable")
    pinned = await gateway.chat({"model": f"prompt:support@{STABLE_DIGEST[:12]}"})
    assert pinned.status == 404


async def test_without_the_switch_a_wrong_variable_is_refused_as_ever(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    heard = await gateway.chat({"prompt_variables": {"question": "why?", "other": 1}})
    assert heard.error["code"] == "invalid_prompt_variables"

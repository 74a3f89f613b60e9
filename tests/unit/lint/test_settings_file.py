import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from promptship.errors import ConfigError, NotFound, Problem
from promptship.prompts.model import SourceMap
from promptship.release.plan import Plan
from promptship.settings import Settings
from promptship.settings_file import (
    load_settings,
    parse_plans,
    parse_settings,
    plan_for,
    plan_schema,
    settings_schema,
)
from tests.support.lint import prompt

ROOT = Path("/somewhere")


def problems(text: str) -> dict[str, Problem]:
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, file="promptship.toml", root=ROOT)
    return {problem.key: problem for problem in caught.value.problems}


def test_an_empty_file_is_all_defaults() -> None:
    assert parse_settings("", file="f", root=ROOT) == Settings(root=ROOT)


def test_every_problem_is_reported_at_once_with_key_line_and_advice() -> None:
    text = """\
[gatway]
port = 1
[telemetry]
bucket = "10x"
[plans.careful.canary]
stages = [
  { share = 0.1 },
  { share = 50, dwel = "1m" },
]
[[plans.careful.canary.guardrails]]
metric = "bored"
[providers.openai]
timeout = 1
"""
    found = problems(text)
    assert {key: problem.line for key, problem in found.items()} == {
        "gatway": 1,
        "telemetry.bucket": 4,
        "plans.careful.canary.stages[1].share": 8,
        "plans.careful.canary.stages[1].dwel": 8,
        "plans.careful.canary.guardrails[0].metric": 11,
        "providers.openai.base_url": 12,
    }
    assert str(found["plans.careful.canary.stages[1].share"]) == (
        "promptship.toml:8: plans.careful.canary.stages[1].share is 50; expected less than or equal to 1"
    )
    assert found["gatway"].advice == "did you mean gateway?"
    assert found["plans.careful.canary.stages[1].dwel"].advice == "did you mean dwell?"
    assert "10m" in found["telemetry.bucket"].expected
    assert "feedback:<kind>" in found["plans.careful.canary.guardrails[0].metric"].expected
    assert found["providers.openai.base_url"].got == "missing"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[models."gpt-4.1"]\nprovider = "opnai"', 'models."gpt-4.1".provider'),
        ('[models.m]\nretires_on = "soon"', "models.m.retires_on"),
        ('[providers.p]\nbase_url = "ftp://x"', "providers.p.base_url"),
        ('[providers.p]\nbase_url = "https://me:pw@x/v1"', "providers.p.base_url"),
        ('[[approvers]]\nname = "Jo"\n[[approvers]]\nname = "jo "', "approvers[1].name"),
        (
            '[[approvers]]\nname = "a"\nslack = "U1"\n[[approvers]]\nname = "b"\nslack = "U1"',
            "approvers[1].slack",
        ),
        ('[[approvers]]\nname = ""', "approvers[0].name"),
        ('root = "/etc"', "root"),
        ('[telemetry]\nfeedback = ["Bored"]', "telemetry.feedback[0]"),
        ('[plans.default]\non_newer = "maybe"', "plans.default.on_newer"),
        ('plans = "fast"', "plans"),
    ],
)
def test_what_does_not_fit_together_is_a_problem_with_a_line(text: str, key: str) -> None:
    found = problems(text)
    assert list(found) == [key]
    assert found[key].line > 0


def test_a_contradiction_is_reported_beside_a_malformed_value() -> None:
    found = problems('data_dir = 3\n[models.m]\nprovider = "p"\n[[approvers]]\nname = ""\n')
    assert set(found) == {"data_dir", "models.m.provider", "approvers[0].name"}
    assert set(problems('[models.m]\nprovider = "p"\n[providers.p]\ntimeout = 1\n')) == {
        "providers.p.base_url"
    }


def test_values_that_look_like_secrets_are_not_shown() -> None:
    secret = "q7Zr2Xk9Lm4Vw8Tb1Nc6Yd3H"
    text = f'[providers.p]\nbase_url = "https://h/v1"\napi_key = "{secret}"\nnote = "ghp_{secret}{secret}"\n'
    for problem in problems(text).values():
        assert secret not in str(problem)


def test_broken_toml_has_its_line() -> None:
    (problem,) = problems("a = 1\nb = [1,\nc = 2\n").values()
    assert problem.line == 3
    assert "TOML" in problem.got


def test_a_file_a_directory_and_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"promptship\.toml"):
        load_settings(tmp_path)
    with pytest.raises(NotFound):
        load_settings(tmp_path / "other.toml")
    (tmp_path / "promptship.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_settings(tmp_path)
    (tmp_path / "promptship.toml").write_text('data_dir = "state"')
    for where in (tmp_path, tmp_path / "promptship.toml"):
        assert load_settings(where).data == tmp_path / "state"


def plan(release: dict[str, Any], plans: dict[str, Plan]) -> Plan:
    return plan_for(prompt(release=release), plans, SourceMap(path="p.yaml", lines={"release": 7}))


PLANS = parse_plans(
    """
    [plans.default.approval]
    required = 2
    [plans.careful.canary]
    alpha = 0.01
    lease = "30s"
    [gateway]
    nonsense = true
    """,
    file="promptship.toml",
)


def test_the_prompts_block_lies_over_the_plan_it_names() -> None:
    assert plan({}, {}) == Plan()
    assert plan({}, PLANS).approval.required == 2
    merged = plan({"plan": "careful", "canary": {"lease": "45s"}}, PLANS)
    assert (merged.canary.alpha, merged.canary.lease, merged.approval.required) == (0.01, 45.0, 1)
    assert merged.canary.stages == Plan().canary.stages


def test_lists_of_the_prompts_block_replace_those_of_the_plan() -> None:
    merged = plan({"canary": {"stages": [{"share": 0.5}]}}, PLANS)
    assert [stage.share for stage in merged.canary.stages] == [0.5]


@pytest.mark.parametrize(
    ("release", "key", "advice"),
    [
        ({"plan": "carefull"}, "release.plan", "did you mean 'careful'?"),
        ({"plan": 3}, "release.plan", "plans there: default, careful"),
        ({"canary": {"stages": [{"share": 2}]}}, "release.canary.stages[0].share", ""),
        ({"aproval": {}}, "release.aproval", "did you mean approval?"),
        ({"canary": "fast"}, "release.canary", ""),
    ],
)
def test_a_wrong_release_block_is_reported_in_the_prompts_file(
    release: dict[str, Any], key: str, advice: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(release, PLANS)
    (problem,) = caught.value.problems
    assert (problem.file, problem.key, problem.line, problem.advice) == ("p.yaml", key, 7, advice)


def test_the_published_schemas_are_schemas_and_refuse_unknown_keys() -> None:
    for schema in (settings_schema(), plan_schema()):
        json.dumps(schema)
        Draft202012Validator.check_schema(schema)
        assert not Draft202012Validator(schema).is_valid({"nonsense": 1})
        assert Draft202012Validator(schema).is_valid({})
    assert "root" not in settings_schema()["properties"]
    plan_validator = Draft202012Validator(plan_schema())
    assert plan_validator.is_valid({"canary": {"stages": [{"share": 0.1, "dwell": "10m"}]}})
    assert not plan_validator.is_valid({"canary": {"stages": [{"share": 0.1, "dwell": "ten"}]}})

"""Results as promptfoo writes them, so that what reads its files can read ours: one result at a time, memory stays flat."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from promptship.evals.promptfoo.assertion_types import COMPARING, SET
from promptship.evals.promptfoo.columns import Column
from promptship.evals.promptfoo.environment import is_on
from promptship.evals.promptfoo.javascript_text import json_text, parse_json
from promptship.evals.promptfoo.metrics import (
    ColumnMetrics,
    Derived,
    Tokens,
    completion_details,
    finite,
    judge_usage,
)
from promptship.evals.promptfoo.model import Config, TestCase
from promptship.evals.promptfoo.scoring import counts_as_passed, with_missing_as_zero
from promptship.evals.rows import Asserted, Row
from promptship.evals.score import Scored, Unscored
from promptship.evals.services import Usage
from promptship.render.redact import MASK, redact, redact_data

FORMAT: Final = "0.123.1"
"""The version of promptfoo whose shape this is."""
_SHAPE: Final = 3
_SECRET: Final = (
    "apikey", "api_key", "token", "secret", "password", "authorization", "credential", "privatekey", "private_key",
    "passphrase", "cookie",
)  # fmt: skip
_COUNTS: Final = frozenset(
    {"max_tokens", "maxtokens", "max_completion_tokens", "max_output_tokens", "tokens", "tokenusage"}
)
FILE_METADATA: Final = "_promptfooFileMetadata"
_STRIP_PROMPT: Final = "PROMPTFOO_STRIP_PROMPT_TEXT"
_PROMPT: Final = "[prompt stripped]"
NONE, FAILED, ERROR = 0, 1, 2
"""`failureReason`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What results say besides the rows."""

    run_id: str
    at: datetime
    config: Config
    columns: Sequence[Column]
    cases: Mapping[str, TestCase]
    """By the id that rows have."""
    derived: tuple[Derived, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """How it was run: repeat, maxConcurrency, cache."""
    duration_ms: float = 0.0
    env: Mapping[str, str] = field(default_factory=dict)
    """PROMPTFOO_STRIP_* leave something out."""


class Results:
    """Turns rows into results and adds them up on the way; ask for the sums once all rows are through."""

    def __init__(self, about: About) -> None:
        self.about = about
        self.columns = {column.arm: column for column in about.columns}
        self.metrics = {column.arm: ColumnMetrics(derived=about.derived) for column in about.columns}
        self._vars = dict.fromkeys(name for case in about.cases.values() for name in case.vars)

    def of(self, rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
        """One result per row, counted. A row of a case or column that the configuration no longer has is left out."""
        for row in rows:
            case, column = self.about.cases.get(row.case), self.columns.get(row.arm)
            if case is not None and column is not None:
                self.metrics[row.arm].add(row, asked=not case.provider_output, score=_score(row, case))
                self._vars.update(dict.fromkeys(row.vars or ()))
                result = result_of(row, self._as_run(row, case), column, self.about.run_id)
                yield stripped(result, self.about.env)

    def _as_run(self, row: Row, case: TestCase) -> TestCase:
        """The case with the variables that `beforeEach` gave it."""
        if row.vars is None or not self.about.config.extensions:
            return case
        return replace(case, vars=row.vars, raw={**case.raw, "vars": dict(row.vars)})

    def prompts(self) -> list[dict[str, Any]]:
        """The columns, with what was added up."""
        return [
            {
                "id": column.prompt_id, "raw": _PROMPT if is_on(self.about.env, _STRIP_PROMPT) else column.prompt.raw, "label": column.prompt.label,
                **({"config": _safe(column.prompt.config)} if column.prompt.config else {}),
                "provider": column.label or column.provider.id, "metrics": self.metrics[column.arm].shape(),
            }
            for column in self.about.columns
        ]  # fmt: skip

    def stats(self) -> dict[str, Any]:
        """Sums over all columns."""
        every = list(self.metrics.values())
        tokens = sum((one.tokens for one in every), Tokens())
        duration_ms = round(self.about.duration_ms)
        return {
            "successes": sum(one.passed for one in every), "failures": sum(one.failed for one in every),
            "errors": sum(one.errors for one in every), "tokenUsage": tokens.shape(), "durationMs": duration_ms,
            "evaluationDurationMs": duration_ms,
        }  # fmt: skip

    def head(self) -> dict[str, Any]:
        """What stands before the results."""
        return {"version": _SHAPE, "timestamp": _time(self.about.at)}

    def tail(self) -> dict[str, Any]:
        """What stands behind them, outside of `results`."""
        about = self.about
        return {
            "config": redact_data(_safe(about.config.raw)), "shareableUrl": None,
            "metadata": {
                "promptfooVersion": FORMAT, "producer": f"promptship {version('promptship')}",
                "platform": platform.system().lower(), "arch": platform.machine(), "exportedAt": _time(datetime.now(UTC)),
                "evaluationCreatedAt": _time(about.at),
            },
            **({"vars": list(self._vars)} if self._vars else {}), "runtimeOptions": dict(about.options),
        }  # fmt: skip


def result_of(row: Row, case: TestCase, column: Column, run_id: str) -> dict[str, Any]:
    """One row in promptfoo's shape."""
    score = row.score
    passed = isinstance(score, Scored) and score.passed
    config = {
        **column.prompt.config,
        **row.prompt_config,
        **{key: value for key, value in case.options.items() if key != "repeat"},
    }
    tokens = _tokens(row, asked=not case.provider_output)
    result: dict[str, Any] = {"cost": row.cost_usd or 0}
    if not passed:
        result["error"] = redact(_why(row))
    result |= {
        "gradingResult": _grading(row, case), "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run_id} {row.key}")),
        "latencyMs": round(row.latency_ms or 0), "namedScores": _named(row),
        "prompt": {"raw": _settled(row.sent), "label": column.prompt.label, "config": _safe(config)},
        "promptId": column.prompt_id, "promptIdx": column.index,
        "provider": {"id": column.provider.id, "label": column.label}, "response": _response(row, case),
        "score": _score(row, case), "success": passed, "testCase": _test(case.raw),
        "testIdx": case.first + row.trial * case.step, "tokenUsage": tokens, "vars": written(case.vars),
        "metadata": {**case.metadata, **row.metadata, FILE_METADATA: {}},
        "failureReason": ERROR if isinstance(score, Unscored) else NONE if passed else FAILED,
    }  # fmt: skip
    return result


def stripped(result: dict[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """A result without what the environment says is to be left out, as promptfoo leaves it out."""
    if not any(name.startswith("PROMPTFOO_STRIP_") for name in env):
        return result
    result = dict(result)
    test, response = dict(result["testCase"]), dict(result["response"])
    if is_on(env, _STRIP_PROMPT):
        result["prompt"] = {**result["prompt"], "raw": _PROMPT}
    if is_on(env, "PROMPTFOO_STRIP_RESPONSE_OUTPUT") and "output" in response:
        response["output"] = "[output stripped]"
    if is_on(env, "PROMPTFOO_STRIP_TEST_VARS"):
        result["vars"] = {}
        test.pop("vars", None)
    if is_on(env, "PROMPTFOO_STRIP_GRADING_RESULT"):
        result["gradingResult"] = None
    if is_on(env, "PROMPTFOO_STRIP_METADATA"):
        result["metadata"] = {}
        test.pop("metadata", None)
        response.pop("metadata", None)
    return {**result, "testCase": test, "response": response}


def _named(row: Row) -> dict[str, Any]:
    """Of a row with a score: what a row without one measured does not count, as in promptfoo."""
    return {name: finite(value) for name, value in row.named.items()} if isinstance(row.score, Scored) else {}


def _score(row: Row, case: TestCase) -> float:
    if not isinstance(row.score, Scored):
        return 0
    own = case.scoring_function or any(one.type in COMPARING for one in row.asserted)
    return row.score.score if own else with_missing_as_zero(row.score.score, row.asserted)


def _why(row: Row) -> str:
    if isinstance(row.score, Unscored):
        return row.error or ": ".join(filter(None, (row.score.reason, row.score.detail)))
    return row.score.reason


def _response(row: Row, case: TestCase) -> dict[str, Any]:
    if not row.answers:
        return {"error": redact(_why(row))}
    response: dict[str, Any] = {
        "output": row.answers[-1] if row.value is None else row.value,
        "cached": row.cached,
    }
    if row.tokens_in is not None or row.tokens_out is not None or case.provider_output:
        response["tokenUsage"] = _tokens(row, asked=not case.provider_output, judged=False)
    if row.cost_usd is not None:
        response["cost"] = row.cost_usd
    if row.finish_reason:
        response["finishReason"] = row.finish_reason
    return response | ({"metadata": dict(row.metadata)} if row.metadata else {})


def _tokens(row: Row, *, asked: bool, judged: bool = True) -> dict[str, Any]:
    tokens = Tokens()
    tokens.add(row if judged else replace(row, asserted=(), judge_tokens=0), asked=asked)
    return tokens.shape()


def _grading(row: Row, case: TestCase) -> dict[str, Any] | None:
    if not isinstance(row.score, Scored):
        return None
    used = _used(row.judge_tokens, judge_usage(row), details=True)
    reason = row.score.reason or "every assertion passed"
    graded: dict[str, Any] = {"pass": row.score.passed, "score": _score(row, case), "reason": reason}
    if not row.asserted:
        return {**graded, "tokensUsed": used}
    graded["namedScores"] = _named(row)
    if row.named_weights:
        graded["namedScoreWeights"] = dict(row.named_weights)
    components = [_component(one, raw) for one, raw in zip(row.asserted, _raws(row, case), strict=True)]
    flat = [item for one in components for item in (one, *_parts(one))]
    return {**graded, "tokensUsed": used, "componentResults": flat}


def _used(total_tokens: int, usage: Usage, *, details: bool = False) -> dict[str, Any]:
    """Tokens of judges; a run in which none was asked has no details, as in promptfoo."""
    used: dict[str, Any] = {
        "total": total_tokens, "prompt": usage.prompt, "completion": usage.completion, "cached": usage.cached,
        "numRequests": usage.requests,
    }  # fmt: skip
    if details and total_tokens:
        used["completionDetails"] = completion_details()
    return used


def _parts(component: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts of a component as they stand behind it: those that a script made are told by its assertion."""
    told = {"assertion": component["assertion"]} if "assertion" in component else {}
    return [
        {**part, **(told if "assertion" not in part else {})}
        for part in component.get("componentResults", ())
    ]


def _raws(row: Row, case: TestCase) -> list[Mapping[str, Any]]:
    """What each assertion is made from; comparisons come behind the others, whenever they were decided."""
    plain = [raw for raw in case.asserts if raw.get("type") not in COMPARING]
    late = [raw for raw in case.asserts if raw.get("type") in COMPARING]
    known = [*plain, *late]
    if len(known) >= len(row.asserted) and all(
        one.type in {"", raw.get("type")} for one, raw in zip(row.asserted, known, strict=False)
    ):
        return known[: len(row.asserted)]
    return [{"type": one.type, **({"metric": one.metric} if one.metric else {})} for one in row.asserted]


def _component(one: Asserted, raw: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(one.score, Scored):
        data: dict[str, Any] = {
            "pass": counts_as_passed(one),
            "score": finite(
                with_missing_as_zero(one.score.score, one.parts) if one.type == SET else one.score.score
            ),
            "reason": one.score.reason or "it holds",
        }
    else:
        data = {"pass": False, "score": 0, "reason": f"no result: {one.score.reason}", "error": True}
    if raw.get("type") == SET:
        members = raw.get("assert") or ()
        data["namedScores"] = {name: finite(value) for name, value in one.named.items()}
        if one.named_weights:
            data["namedScoreWeights"] = dict(one.named_weights)
        used = sum((part.judge_usage for part in one.parts), Usage())
        data["tokensUsed"] = _used(sum(part.judge_tokens for part in one.parts), used, details=True)
        data["componentResults"] = [
            _component(part, member) for part, member in zip(one.parts, members, strict=False)
        ]
        about = {name: raw[name] for name in ("metric", "threshold", "weight") if raw.get(name) is not None}
        data["metadata"] = {"assertionSet": {"type": SET, "assertionCount": len(members), **about}}
        return data
    if one.judge_tokens:
        data["tokensUsed"] = _used(one.judge_tokens, one.judge_usage, details=True)
    if one.named:
        data["namedScores"] = {name: finite(value) for name, value in one.named.items()}
    if one.parts:
        data["componentResults"] = [_made_by_script(part) for part in one.parts]
    data["assertion"] = _safe(raw)
    said = raw.get("value")
    is_text = isinstance(said, str) and (not said.startswith("file://") or said.endswith(".txt"))
    if is_text and isinstance(one.value, str) and one.value != said:
        data["metadata"] = {"renderedAssertionValue": one.value}
    return data


def _made_by_script(part: Asserted) -> dict[str, Any]:
    data: dict[str, Any] = {"pass": counts_as_passed(part), "score": 0, "reason": ""}
    if isinstance(part.score, Scored):
        data |= {"score": finite(part.score.score), "reason": part.score.reason}
    if part.named:
        data["namedScores"] = dict(part.named)
    return data


def _test(raw: Mapping[str, Any]) -> Any:
    """A test as results show it: a function that scores is no data."""
    return _safe({key: value for key, value in raw.items() if key != "assertScoringFunction"}, settled=True)


def written(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Variables as they stand in results."""
    return {name: _safe(value, name, settled=True) for name, value in variables.items()}


def _safe(value: Any, key: str = "", *, settled: bool = False) -> Any:
    """Plain data without what a key says is a secret; `settled`: also inside of texts that are JSON."""
    if isinstance(value, Mapping):
        return {str(name): _safe(item, str(name), settled=settled) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(item, key, settled=settled) for item in value]
    if isinstance(value, str):
        low = key.lower().replace("-", "_")
        if value and low not in _COUNTS and any(word in low for word in _SECRET) and "{{" not in value:
            return MASK
        return _settled(value) if settled else value
    return finite(value)


def _settled(text: str) -> str:
    """A text that is a JSON object or list, written anew without its secrets and its spaces: so promptfoo keeps it."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json_text(_safe(parse_json(text), settled=True))
    except (ValueError, RecursionError):
        return text


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

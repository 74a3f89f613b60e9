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
from promptship.evals.promptfoo.metrics import ColumnMetrics, Derived, Tokens, finite
from promptship.evals.promptfoo.model import Config, TestCase
from promptship.evals.promptfoo.scoring import Vote, total
from promptship.evals.rows import Asserted, Row
from promptship.evals.score import Scored, Unscored
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
                self.metrics[row.arm].add(row, asked=not case.provider_output)
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
        tokens = Tokens(
            *(sum(getattr(one.tokens, name) for one in every) for name in Tokens.__dataclass_fields__)
        )
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
        **{key: value for key, value in case.options.items() if key != "repeat"},
    }
    tokens = _tokens(row, asked=not case.provider_output)
    result: dict[str, Any] = {"cost": row.cost_usd or 0}
    if not passed:
        result["error"] = redact(_why(row))
    result |= {
        "gradingResult": _grading(row, case), "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run_id} {row.key}")),
        "latencyMs": round(row.latency_ms or 0), "namedScores": _named(row),
        "prompt": {"raw": row.sent, "label": column.prompt.label, "config": _safe(config)},
        "promptId": column.prompt_id, "promptIdx": column.index,
        "provider": {"id": column.provider.id, "label": column.label}, "response": _response(row, case),
        "score": score.score if isinstance(score, Scored) else 0, "success": passed, "testCase": _safe(case.raw),
        "testIdx": case.first + row.trial * case.step, "tokenUsage": tokens, "vars": dict(case.vars),
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


def _why(row: Row) -> str:
    if isinstance(row.score, Unscored):
        return row.error or ": ".join(filter(None, (row.score.reason, row.score.detail)))
    return row.score.reason


def _response(row: Row, case: TestCase) -> dict[str, Any]:
    if not row.answers:
        return {"error": redact(_why(row))}
    response: dict[str, Any] = {"output": row.answers[-1] if row.value is None else row.value}
    if row.tokens_in is not None or row.tokens_out is not None or case.provider_output:
        response["tokenUsage"] = _tokens(row, asked=not case.provider_output)
    if row.cost_usd is not None:
        response["cost"] = row.cost_usd
    if row.cached or case.provider_output:
        response["cached"] = row.cached
    if row.finish_reason:
        response["finishReason"] = row.finish_reason
    return response | ({"metadata": dict(row.metadata)} if row.metadata else {})


def _tokens(row: Row, *, asked: bool) -> dict[str, Any]:
    tokens = Tokens()
    tokens.add(row, asked=asked)
    return tokens.shape()


def _grading(row: Row, case: TestCase) -> dict[str, Any] | None:
    if not isinstance(row.score, Scored):
        return None
    used = {"total": row.judge_tokens, "prompt": 0, "completion": 0, "cached": 0, "numRequests": 0}
    reason = row.score.reason or "every assertion passed"
    graded: dict[str, Any] = {"pass": row.score.passed, "score": row.score.score, "reason": reason}
    if not row.asserted:
        return {**graded, "tokensUsed": used}
    graded["namedScores"] = _named(row)
    if row.named_weights:
        graded["namedScoreWeights"] = dict(row.named_weights)
    components = [_component(one, raw) for one, raw in zip(row.asserted, _raws(row, case), strict=True)]
    flat = [item for one in components for item in (one, *one.get("componentResults", ()))]
    return {**graded, "tokensUsed": used, "componentResults": flat}


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
        passed = one.score.passed or one.weight == 0
        data: dict[str, Any] = {
            "pass": passed,
            "score": finite(one.score.score),
            "reason": one.score.reason or "it holds",
        }
    else:
        data = {"pass": False, "score": 0, "reason": f"no result: {one.score.reason}", "error": True}
    if raw.get("type") == SET:
        members = raw.get("assert") or ()
        votes = total([Vote(asserted=part) for part in one.parts], None)
        data["namedScores"] = dict(votes.named)
        data["tokensUsed"] = {
            "total": sum(part.judge_tokens for part in one.parts),
            "prompt": 0,
            "completion": 0,
            "cached": 0,
            "numRequests": 0,
        }
        data["componentResults"] = [
            _component(part, member) for part, member in zip(one.parts, members, strict=False)
        ]
        about = {name: raw[name] for name in ("metric", "threshold", "weight") if raw.get(name) is not None}
        data["metadata"] = {"assertionSet": {"type": SET, "assertionCount": len(members), **about}}
        return data
    if one.judge_tokens:
        data["tokensUsed"] = {
            "total": one.judge_tokens,
            "prompt": 0,
            "completion": 0,
            "cached": 0,
            "numRequests": 1,
        }
    if one.parts:
        data["componentResults"] = [_component(part, raw) for part in one.parts]
    data["assertion"] = _safe(raw)
    said = raw.get("value")
    is_text = isinstance(said, str) and (not said.startswith("file://") or said.endswith(".txt"))
    if is_text and isinstance(one.value, str) and one.value != said:
        data["metadata"] = {"renderedAssertionValue": one.value}
    return data


def _safe(value: Any, key: str = "") -> Any:
    """Plain data without what a key says is a secret."""
    if isinstance(value, Mapping):
        return {str(name): _safe(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(item, key) for item in value]
    if isinstance(value, str):
        low = key.lower().replace("-", "_")
        if value and low not in _COUNTS and any(word in low for word in _SECRET) and "{{" not in value:
            return MASK
        return value
    return finite(value)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""JSON Schema of the JSON report, and of one line of the JSON lines."""

from __future__ import annotations

from typing import Any, Final

from promptship.evals.outcome import Word
from promptship.evals.reports.data import VERSION
from promptship.evals.reports.summary import Summary
from promptship.evals.verdict import SuiteVerdict

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_COUNT_OR_NONE: Final = {"type": ["integer", "null"], "minimum": 0}
_NUMBER: Final = {"type": "number"}
_NUMBER_OR_NONE: Final = {"type": ["number", "null"]}


def report_schema() -> dict[str, Any]:
    """Of the whole document; `#/$defs/Line` is a line of the JSON lines. Unknown keys may come with later versions."""
    definitions: dict[str, Any] = {
        "Score": _score(),
        "Asserted": _asserted(),
        "Row": _row(),
        "Case": _case(),
        "Line": {
            "description": "One trial with the facts of its case.",
            "allOf": [{"$ref": "#/$defs/Row"}],
            "properties": {"facts": {"$ref": "#/$defs/Case"}},
            "required": ["facts"],
        },
        "Arm": _object(
            {"key": _TEXT, "prompt": _TEXT, "model": _TEXT, "prompt_text": _TEXT}, "key", "prompt", "model"
        ),
        "Note": _object(
            {"where": _TEXT, "effect": _TEXT, "what": _TEXT, "advice": _TEXT}, "where", "effect", "what"
        ),
    }
    for model in (Summary, SuiteVerdict):
        schema = model.model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
        definitions |= schema.pop("$defs", {})
        definitions[model.__name__] = schema
    properties = {
        "kind": {"const": "promptship-report"},
        "version": {"const": VERSION},
        "title": _TEXT,
        "id": {**_TEXT, "description": "Of the run."},
        "at": {"type": ["string", "null"], "format": "date-time"},
        "duration_s": _NUMBER_OR_NONE,
        "conclusion": {
            **_object(
                {"word": {"enum": [word.value for word in Word]}, "exit_code": _COUNT}, "word", "exit_code"
            ),
            "description": "What the run came to, as in every report, and the exit status of the command.",
        },
        "reused": {**_COUNT, "description": "Results taken over from an earlier run that was gone on with."},
        "cached": {
            **_COUNT,
            "description": "Results whose every answer came from the cache: nothing was paid.",
        },
        "inputs": {"type": "object", "additionalProperties": _TEXT},
        "verdicts": _list("SuiteVerdict"),
        "summary": {"$ref": "#/$defs/Summary"},
        "arms": _list("Arm"),
        "cases": _list("Case"),
        "notes": _list("Note"),
        "results": {**_list("Row"), "description": "Every trial, by case, trial and arm."},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "promptship evaluation report",
        "description": "What was not measured is null or absent, never 0.",
        **_object(properties, *properties),
        "$defs": definitions,
    }


def _object(properties: dict[str, Any], *required: str, description: str = "") -> dict[str, Any]:
    said = {"description": description} if description else {}
    return {"type": "object", **said, "properties": properties, "required": list(required)}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/$defs/{name}"}}


def _score() -> dict[str, Any]:
    scored = {"passed": {"type": "boolean"}, "score": _NUMBER_OR_NONE, "reason": _TEXT}
    unscored = {"unscored": {**_TEXT, "description": "Why there is no score."}, "detail": _TEXT}
    return {"anyOf": [_object(scored, *scored), _object(unscored, *unscored)]}


def _asserted() -> dict[str, Any]:
    properties = {
        "label": _TEXT,
        "turn": {**_COUNT, "description": "From 0."},
        "score": {"$ref": "#/$defs/Score"},
        "type": _TEXT,
        "weight": {**_NUMBER, "default": 1},
        "metric": _TEXT,
        "value": {"description": "What was demanded."},
        "judge_tokens": {**_COUNT, "default": 0},
        "said": {**_TEXT, "description": "What a judge answered."},
        "judge": {**_TEXT, "description": "Which judge, by which version of the rubrics."},
        "judge_usage": {
            "type": "object",
            "description": "Tokens of the judge in parts, where somebody counted them.",
        },
        "named": {
            "type": "object",
            "description": "Further scores that a script or the members of a set gave.",
        },
        "named_weights": {"type": "object"},
        "parts": _list("Asserted"),
    }
    return _object(properties, "label", "turn", "score", description="What one assertion said.")


def _row() -> dict[str, Any]:
    properties = {
        "case": _TEXT,
        "arm": _TEXT,
        "trial": {**_COUNT, "description": "From 0."},
        "digest": _TEXT,
        "score": {"$ref": "#/$defs/Score"},
        "asserted": _list("Asserted"),
        "answers": {"type": "array", "items": _TEXT, "description": "One per turn."},
        "value": {"description": "The last answer, when it is more than text."},
        "sent": {**_TEXT, "description": "What was asked last: text, or messages as JSON."},
        "vars": {"type": "object", "description": "When they differ from the case's."},
        "prompt_config": {"type": "object", "description": "What the prompt's own function said besides the prompt."},
        "named": {"type": "object", "additionalProperties": _NUMBER_OR_NONE, "description": "Scores by metric."},
        "named_weights": {"type": "object", "additionalProperties": _NUMBER_OR_NONE},
        "error": {**_TEXT, "description": "Why there is no answer."},
        "latency_ms": _NUMBER_OR_NONE,
        "tokens_in": _COUNT_OR_NONE,
        "tokens_out": _COUNT_OR_NONE,
        "tokens_cached": _COUNT_OR_NONE,
        "cost_usd": _NUMBER_OR_NONE,
        "judge_tokens": {**_COUNT, "default": 0},
        "judge_cost_usd": {**_NUMBER, "default": 0},
        "judge_unpriced": {**_COUNT, "default": 0},
        "cached": {"type": "boolean", "default": False},
        "model": _TEXT,
        "fingerprint": _TEXT,
        "finish_reason": _TEXT,
        "metadata": {"type": "object"},
    }  # fmt: skip
    required = ("case", "arm", "trial", "digest", "score", "asserted", "answers")
    return _object(properties, *required, description="One trial of one case with one arm.")


def _case() -> dict[str, Any]:
    properties = {
        "id": _TEXT,
        "severity": {"enum": ["blocking", "warning"]},
        "weight": _NUMBER,
        "description": _TEXT,
        "tags": {"type": "array", "items": _TEXT},
        "passes_min": {"type": ["integer", "null"], "description": "So many trials must pass."},
        "topic": _TEXT,
        "vars": {"type": "object"},
        "origin": _TEXT,
    }
    return _object(properties, "severity", "weight", "tags", "vars")

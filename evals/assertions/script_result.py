"""What a script's return value means: a bool, a number, or an object with pass, score and reason."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.evals.score import Judged, Part, Score, Scored, Unscored
from promptship.evals.services import Language

WANTED: Final = "wanted bool, number or {pass, score, reason}"
_CAMEL: Final = {"pass_": "pass", "named_scores": "namedScores", "component_results": "componentResults"}
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_TRUTHS: Final = {"true": True, "True": True, "false": False, "False": False}


def is_number(value: object) -> bool:
    """A number, finite or not; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(value: Any) -> float | None:
    """A number as a float; None: it has no finite value."""
    if not is_number(value):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


# promptship's own reading ---------------------------------------------------------------------------------------------


def native(result: Any, threshold: float | None) -> Judged:
    """Strict: what is none of the three is Unscored, and so is NaN. Scores are cut to 0..1.

    A number passes above 0, or from the threshold on. An object passes as its `pass` says, and only from the threshold on.
    """
    if isinstance(result, bool):
        return Judged(Scored(result, float(result), "" if result else "the script returned false"))
    if is_number(result):
        return Judged(_number(result, threshold))
    if isinstance(result, dict):
        return _object(_camel(result), threshold)
    return Judged(Unscored(f"the script returned {_kind(result)}; {WANTED}"))


def _number(result: Any, threshold: float | None) -> Score:
    value = finite(result)
    if value is None:
        return Unscored("the script returned a number that is not finite")
    passed = value > 0 if threshold is None else value >= threshold
    limit = "more than 0" if threshold is None else f"at least {threshold:g}"
    return Scored(passed, _cut(value), "" if passed else f"the script returned {value:g}, wanted {limit}")


def _object(result: Mapping[str, Any], threshold: float | None) -> Judged:
    verdict = result.get("pass", result.get("passed"))
    score = result.get("score")
    value = finite(score)
    if score is not None and value is None:
        return Judged(Unscored("the script's result has a score that is not a finite number"))
    if verdict is not None and not isinstance(verdict, bool):
        return Judged(Unscored("the script's result has a pass that is not a bool"))
    if verdict is None and value is None:
        return Judged(Unscored("the script's result has neither pass nor score"))
    passed = verdict if verdict is not None else value is not None and value > 0
    if threshold is not None and value is not None:
        passed = verdict is not False and value >= threshold
    reason = str(result.get("reason") or "") or ("" if passed else "the script's result does not pass")
    scored = Scored(passed, float(passed) if value is None else _cut(value), reason)
    return Judged(scored, named=_named(result), parts=_parts(result))


def _cut(value: float) -> float:
    return min(max(value, 0.0), 1.0)


# promptfoo's reading --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How promptfoo reads a result: its rules differ by language, and `not-` turns the verdict but not a number's score."""

    language: Language
    threshold: float | None
    opposite: bool = False

    def judged(self, result: Any) -> Judged:
        """Anything that is no result fails, also under `not-`."""
        if self.language is not Language.JAVASCRIPT:
            result = _from_text(_camel(result) if isinstance(result, dict) else result)
        if isinstance(result, bool):
            passed = result is not self.opposite
            return Judged(Scored(passed, float(passed), self._because(passed, result)))
        if is_number(result):
            value = finite(result)
            if value is None:
                return Judged(Unscored("the script returned a number that is not finite"))
            good = value > 0 if self.threshold is None else value >= self.threshold
            passed = good is not self.opposite
            return Judged(Scored(passed, value, self._because(passed, result)))
        if isinstance(result, dict) and _is_grading(result):
            return self._graded(result)
        return Judged(Scored(False, 0.0, f"the script returned {_kind(result)}; {WANTED}"))

    def _graded(self, result: Mapping[str, Any]) -> Judged:
        value = finite(result["score"])
        if value is None:
            return Judged(Unscored("the script's result has a score that is not a finite number"))
        good, reason = result["pass"], result["reason"]
        if self.language is not Language.JAVASCRIPT and self.threshold is not None and value < self.threshold:
            good, reason = False, f"score {value:g}, wanted at least {self.threshold:g}: {result['reason']}"
        passed = good is not self.opposite
        if self.opposite:
            reason = self._because(passed, good)
        return Judged(Scored(passed, value, reason), named=_named(result), parts=_parts(result))

    def _because(self, passed: bool, result: Any) -> str:
        if passed:
            return ""
        return f"the script returned {json.dumps(result)}" + (
            ", and should not pass" if self.opposite else ""
        )


def _from_text(result: Any) -> Any:
    """Python and Ruby may answer in text: true, false, a number, an object as JSON."""
    if not isinstance(result, str):
        return result
    if result in _TRUTHS:
        return _TRUTHS[result]
    if _NUMBER.fullmatch(result):
        return float(result)
    if result.startswith("{"):
        try:
            found = json.loads(result)
        except (ValueError, RecursionError):
            return result
        return _camel(found) if isinstance(found, dict) else result
    return result


def _is_grading(result: Mapping[str, Any]) -> bool:
    named, parts = result.get("namedScores"), result.get("componentResults")
    return (
        isinstance(result.get("pass"), bool)
        and is_number(result.get("score"))
        and isinstance(result.get("reason"), str)
        and (named is None or isinstance(named, dict | list))
        and (parts is None or isinstance(parts, list))
    )


# Both -----------------------------------------------------------------------------------------------------------------


def _camel(result: Mapping[str, Any]) -> dict[str, Any]:
    """Names as Python writes them, in promptfoo's spelling; a name that is there already stays."""
    renamed = {_CAMEL.get(name, name): value for name, value in result.items() if name in _CAMEL}
    plain = {name: value for name, value in result.items() if name not in _CAMEL}
    whole = {**renamed, **plain}
    if isinstance(whole.get("componentResults"), list):
        whole["componentResults"] = [
            _camel(part) if isinstance(part, dict) else part for part in whole["componentResults"]
        ]
    return whole


def _named(result: Mapping[str, Any]) -> dict[str, float]:
    """Further scores; what is no finite number is left out."""
    named = result.get("namedScores")
    if isinstance(named, list):
        named = {str(index): value for index, value in enumerate(named)}
    if not isinstance(named, dict):
        return {}
    return {str(name): number for name, value in named.items() if (number := finite(value)) is not None}


def _parts(result: Mapping[str, Any]) -> tuple[Part, ...]:
    components = result.get("componentResults")
    if not isinstance(components, Sequence) or isinstance(components, str):
        return ()
    return tuple(_part(number, one) for number, one in enumerate(components) if isinstance(one, dict))


def _part(number: int, result: Mapping[str, Any]) -> Part:
    assertion = result.get("assertion")
    about = assertion if isinstance(assertion, dict) else {}
    metric = about.get("metric") if isinstance(about.get("metric"), str) else None
    kind = about["type"] if isinstance(about.get("type"), str) else ""
    verdict = result.get("pass")
    score = finite(result.get("score"))
    weight = finite(about.get("weight"))
    found: Score = Unscored("the script's part has no pass")
    if isinstance(verdict, bool):
        found = Scored(verdict, float(verdict) if score is None else score, str(result.get("reason") or ""))
    return Part(
        label=metric or kind or f"part {number + 1}", score=found, type=kind, metric=metric,
        weight=weight if weight is not None and weight >= 0 else 1.0,
    )  # fmt: skip


def _kind(value: object) -> str:
    """What something is, without quoting it."""
    match value:
        case None:
            return "nothing"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object without what is wanted"

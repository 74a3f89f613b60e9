"""What is wrong with a configuration: what promptfoo refuses, and what it only warns about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from promptship.errors import Problem
from promptship.evals.document import Document
from promptship.evals.promptfoo.model import Effect, Note
from promptship.evals.promptfoo.slips import TOP_KEYS, odd_keys

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text_map(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_text, value.values()))


def _mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _text_or_texts(value: Any) -> bool:
    return _text(value) or _texts(value)


def whole(value: Any) -> int | None:
    """A whole number, also one that is written as text; None: it is none."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        try:
            value = float(value or 0)
        except ValueError:
            return None
    return int(value) if isinstance(value, int | float) and float(value).is_integer() else None


def _at_least(least: int, most: int | None = None) -> Check:
    def check(value: Any) -> bool:
        number = whole(value)
        return number is not None and number >= least and (most is None or number <= most)

    return check


_POSITIVE: Final = (_at_least(1), "a whole number above 0")
_TEXT: Final = (_text, "text")
_TEXTS: Final = (_texts, "a list of texts")
_FLAG: Final = (_flag, "true or false")
_NUMBER: Final = (_number, "a number")
_TEXT_MAP: Final = (_text_map, "a mapping of texts")
_TEXT_OR_TEXTS: Final = (_text_or_texts, "text or a list of texts")
_Table = Mapping[str, tuple[Check, str]]

COMMAND_LINE_OPTIONS: Final[_Table] = {
    "assertions": _TEXT, "cache": _FLAG, "config": _TEXTS, "delay": (_at_least(0), "a whole number from 0"),
    "description": _TEXT, "envPath": _TEXT_OR_TEXTS, "extension": _TEXTS, "filterErrorsOnly": _TEXT, "filterFailing": _TEXT,
    "filterFailingOnly": _TEXT, "filterFirstN": _POSITIVE, "filterMetadata": _TEXT_OR_TEXTS, "filterPattern": _TEXT,
    "filterPrompts": _TEXT, "filterProviders": _TEXT, "filterRange": _TEXT, "filterSample": _POSITIVE,
    "filterSampleSeed": (_at_least(-(2**53)), "a whole number"), "filterTargets": _TEXT, "generateSuggestions": _FLAG,
    "grader": _TEXT, "maxConcurrency": _POSITIVE, "modelOutputs": _TEXT, "noShare": _FLAG, "output": _TEXTS,
    "progressBar": _FLAG, "promptPrefix": _TEXT, "promptSuffix": _TEXT, "prompts": _TEXTS, "providers": _TEXTS,
    "repeat": _POSITIVE, "retryErrors": _FLAG, "share": _FLAG, "suggestionsCount": (_at_least(1, 50), "1 to 50"),
    "table": _FLAG, "tableCellMaxLength": _POSITIVE, "tags": _TEXT_MAP, "tests": _TEXT, "var": _TEXT_MAP, "vars": _TEXT,
    "verbose": _FLAG, "watch": _FLAG, "write": _FLAG,
}  # fmt: skip
_EVALUATE_OPTIONS: Final[_Table] = {
    "cache": _FLAG, "delay": _NUMBER, "generateSuggestions": _FLAG, "maxConcurrency": _NUMBER, "maxEvalTimeMs": _NUMBER,
    "repeat": _NUMBER, "showProgressBar": _FLAG, "timeoutMs": _NUMBER,
}  # fmt: skip
_TOP: Final[_Table] = {
    "commandLineOptions": (_mapping, "a mapping"),
    "defaultTest": (lambda value: _text(value) or _mapping(value), "a test or file://"),
    "derivedMetrics": (lambda value: isinstance(value, list), "a list of {name, value}"),
    "description": _TEXT,
    "env": (_mapping, "a mapping"),
    "evaluateOptions": (_mapping, "a mapping"),
    "extensions": _TEXTS,
    "metadata": (_mapping, "a mapping"),
    "nunjucksFilters": _TEXT_MAP,
    "outputPath": _TEXT_OR_TEXTS,
    "prompts": (lambda value: isinstance(value, str | list | Mapping), "text, a list or a mapping"),
    "providers": (lambda value: isinstance(value, str | list), "text or a list"),
    "scenarios": (lambda value: isinstance(value, str | list), "a list or a path"),
    "tags": _TEXT_MAP,
    "targets": (lambda value: isinstance(value, str | list), "text or a list"),
    "tests": (lambda value: isinstance(value, str | list | Mapping), "a path, a list or {path, config}"),
}
_ABSENT_HERE: Final = {
    "redteam": ("attacks are not generated from `redteam`", "run the red-team pack of promptship instead"),
    "plugins": ("attacks are not generated from `plugins`", "run the red-team pack of promptship instead"),
    "strategies": (
        "attacks are not generated from `strategies`",
        "run the red-team pack of promptship instead",
    ),
    "tracing": ("no server for traces is started", "let the provider return its trace in `metadata`"),
}


def warnings(data: Mapping[str, Any], document: Document) -> Iterator[Note]:
    """What promptfoo warns about, and what cannot be done here."""
    for key, got, expected in _wrong(data, _TOP, ""):
        yield Note(where=_where(document, key), effect=Effect.DIFFERS, what=f"is {got}, expected {expected}")
    for name, meant in odd_keys(data, TOP_KEYS):
        what = f"{name} is no key of a configuration and does nothing"
        yield Note(
            where=_where(document, name), effect=Effect.IGNORED, what=what, advice=f"did you mean {meant}?"
        )
    options = data.get("evaluateOptions")
    for name, meant in odd_keys(options, _EVALUATE_OPTIONS) if isinstance(options, Mapping) else ():
        place = _where(document, f"evaluateOptions.{name}")
        yield Note(where=place, effect=Effect.IGNORED, what="no such option", advice=f"did you mean {meant}?")
    for key, got, expected in _wrong(options, _EVALUATE_OPTIONS, "evaluateOptions."):
        yield Note(where=_where(document, key), effect=Effect.IGNORED, what=f"is {got}, expected {expected}")
    if data.get("targets") is not None and data.get("providers") is not None:
        what = "providers are ignored, because there are targets"
        yield Note(
            where=_where(document, "providers"), effect=Effect.IGNORED, what=what, advice="keep one of them"
        )
    for key, (what, advice) in _ABSENT_HERE.items():
        if data.get(key):
            yield Note(where=_where(document, key), effect=Effect.UNSUPPORTED, what=what, advice=advice)
    sharing = data.get("sharing")
    if sharing not in {None, False} if isinstance(sharing, bool | None) else True:
        what = "results are not shared on the web"
        yield Note(
            where=_where(document, "sharing"),
            effect=Effect.UNSUPPORTED,
            what=what,
            advice="send the HTML report",
        )
    if isinstance(options, Mapping) and options.get("generateSuggestions"):
        key = "evaluateOptions.generateSuggestions"
        what = "no further prompts are suggested"
        yield Note(where=_where(document, key), effect=Effect.UNSUPPORTED, what=what)
    yield from _output_notes(data.get("outputPath"), document)


def _output_notes(paths: Any, document: Document) -> Iterator[Note]:
    for path in [paths] if isinstance(paths, str) else paths if isinstance(paths, list) else []:
        if isinstance(path, str) and path.startswith("https://"):
            what = f"results are not written to {path[:60]}"
            where = _where(document, "outputPath")
            yield Note(where=where, effect=Effect.UNSUPPORTED, what=what, advice="write CSV and upload it")


def _wrong(data: Any, table: _Table, start: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(data, Mapping):
        for name, value in data.items():
            check, expected = table.get(name, (None, ""))
            if check is not None and value is not None and not check(value):
                yield f"{start}{name}", shown(value), expected


def _where(document: Document, key: str) -> str:
    line = document.line(key)
    return f"{document.path}:{line}: {key}" if line else f"{document.path}: {key}"


def option_problems(data: Mapping[str, Any], document: Document) -> Iterator[Problem]:
    """Wrong command line options: promptfoo stops at them."""
    for key, got, expected in _wrong(
        data.get("commandLineOptions"), COMMAND_LINE_OPTIONS, "commandLineOptions."
    ):
        yield Problem(document.path, key, got, f"expected {expected}", line=document.line(key))


def assertion_problems(data: Mapping[str, Any], document: Document) -> Iterator[Problem]:
    """Assertions that are none, in tests that stand in the file itself."""
    default = data.get("defaultTest")
    if isinstance(default, Mapping):
        yield from _asserts(default.get("assert"), "defaultTest.assert", document)
    tests = data.get("tests")
    for number, test in enumerate(tests if isinstance(tests, list) else ()):
        if isinstance(test, Mapping):
            yield from _asserts(test.get("assert"), f"tests[{number}].assert", document)


def _asserts(asserts: Any, key: str, document: Document) -> Iterator[Problem]:
    if not asserts:
        return
    if not isinstance(asserts, list):
        yield Problem(
            document.path, key, shown(asserts), "expected a list of assertions", line=document.line(key)
        )
        return
    for number, assertion in enumerate(asserts):
        place = f"{key}[{number}]"
        line = document.line(place)
        if not isinstance(assertion, Mapping):
            yield Problem(
                document.path,
                place,
                shown(assertion),
                "expected an assertion: a mapping with `type`",
                line=line,
            )
        elif not isinstance(assertion.get("type"), str):
            got = (
                "without a type"
                if assertion.get("type") is None
                else f"of the type {shown(assertion['type'])}"
            )
            advice = "in YAML only the first key of an assertion has a dash before it"
            yield Problem(document.path, place, got, "expected `type`", advice, line=line)
        elif assertion["type"] == "assert-set":
            if not isinstance(assertion.get("assert"), list):
                yield Problem(
                    document.path,
                    place,
                    "without a list `assert`",
                    "expected the members of the set",
                    line=line,
                )
            else:
                yield from _asserts(assertion["assert"], f"{place}.assert", document)


def shown(value: Any) -> str:
    """A value in a message, short; mappings and lists by their kind: they may hold secrets."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool) or value is None:
        return {None: "missing", True: "true", False: "false"}[value]
    return repr(value)[:60]

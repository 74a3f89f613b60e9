"""What an assertion of a native suite needs besides the answer: asked while the file is read, before anything is paid.

What nobody there can give would only make rows without a score, and a suite that says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from promptship.errors import ConfigError
from promptship.evals.assertions import AssertionSpec
from promptship.evals.assertions.base import invalid, shown
from promptship.evals.assertions.catalogue import KINDS, Need
from promptship.evals.suite_file import JudgeSettings

_MODELS: Final = frozenset({Need.JUDGE, Need.EMBEDDINGS, Need.MODERATION})
_NOBODY: Final[Mapping[Need, tuple[str, str]]] = MappingProxyType({
    Need.TRACE: ("a trace", "tool-call-f1 and is-valid-openai-tools-call look at the calls of an answer"),
    Need.SKILLS: ("the skills that were used", "tool-call-f1 looks at the calls of an answer"),
    Need.CLASSIFIER: ("a classifier", "use moderation or llm-rubric"),
})  # fmt: skip
"""What only a provider of a promptfoo configuration gives, and what to write instead."""
_OF_CONTEXT: Final = frozenset({"context-faithfulness", "context-relevance"})
_BY_NAME: Final = frozenset({"search-rubric", "agent-rubric", "pi"})
"""A judge that only grades texts cannot decide these: the one that can must be named."""


def needs(spec: AssertionSpec, judge: JudgeSettings | None) -> None:
    """Refuse a specification that could never have a score in a suite with this judge; its members are not looked at.

    Raises:
        ConfigError: what is missing, and where to name it.
    """
    name = spec.type.removeprefix("not-")
    if name not in KINDS:
        return  # its builder says which is the nearest
    wanted = KINDS[name].needs
    for need, (what, advice) in _NOBODY.items():
        if need in wanted and Need.JUDGE not in wanted:  # a judge makes do with the conversation
            expected = f"needs {what}, which no model of promptship.toml gives: it would never have a score"
            raise invalid("type", repr(spec.type), expected, advice)
    if name == "webhook":
        _address(spec)
    if not wanted & _MODELS:
        return
    if spec.provider is not None and not (isinstance(spec.provider, str) and spec.provider.strip()):
        raise invalid("provider", shown(spec.provider), "expected the name of a model")
    if judge is None:
        raise invalid("type", repr(spec.type), *_without_judge(name, wanted))
    _models(spec, name, wanted, judge)


def _without_judge(name: str, wanted: frozenset[Need]) -> tuple[str, str]:
    more = [
        f", {key}: ..."
        for key, need in (("embeddings", Need.EMBEDDINGS), ("moderation", Need.MODERATION))
        if need in wanted
    ]
    because = ": without one it could never fail" if name.startswith("redteam:") else ""
    return f"needs a judge{because}", f"add `judge: {{model: ...{''.join(more)}}}` to the suite"


def _models(spec: AssertionSpec, name: str, wanted: frozenset[Need], judge: JudgeSettings) -> None:
    """Whether all models that it asks have a name."""
    if name in _BY_NAME and spec.provider is None:
        expected = "expected the model that judges: the suite's grades texts only"
        raise invalid("provider", "missing", expected, "name one that can do it")
    if {Need.JUDGE, Need.EMBEDDINGS} <= wanted and spec.provider is not None:
        expected = f"{spec.type} asks two models, so one name is not enough"
        raise invalid("provider", shown(spec.provider), expected, "name both in `judge`")
    for key, need in (("embeddings", Need.EMBEDDINGS), ("moderation", Need.MODERATION)):
        if need in wanted and not getattr(judge, key) and spec.provider is None:
            raise invalid("type", repr(spec.type), f"needs {need}", f"add `{key}` to the suite's `judge`")


def _address(spec: AssertionSpec) -> None:
    try:
        host = urlsplit(spec.value).hostname if isinstance(spec.value, str) else "unknown"
    except ValueError:
        host = None
    if not host:
        raise invalid(
            "value", shown(spec.value), "expected an address with a host, such as https://example.com/"
        )


def missing_variables(
    specs: tuple[AssertionSpec, ...], variables: Mapping[str, Any]
) -> Iterator[ConfigError]:
    """Variables that assertions of a case read and that it does not have, or not as text; each once."""
    query = context = ""
    for spec in _all(specs):
        name = spec.type.removeprefix("not-")
        if name in _OF_CONTEXT:
            query = query or spec.type
            context = context or ("" if spec.context_transform else spec.type)
    if query and not _is_text(variables.get("query")):
        yield _variable("query", variables, query, "the question as a text")
    if context and not _is_context(variables.get("context")):
        yield _variable("context", variables, context, "a text or a list of texts (or `contextTransform`)")


def _all(specs: tuple[AssertionSpec, ...]) -> Iterator[AssertionSpec]:
    for spec in specs:
        yield spec
        yield from _all(spec.asserts)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_context(value: Any) -> bool:
    """A text, or a list of texts of which one says something."""
    if not isinstance(value, list):
        return _is_text(value)
    return all(isinstance(one, str) for one in value) and any(map(_is_text, value))


def _variable(name: str, variables: Mapping[str, Any], type_: str, expected: str) -> ConfigError:
    got = shown(variables[name]) if name in variables else "missing"
    return invalid(f"vars.{name}", got, f"{type_} needs it: {expected}")

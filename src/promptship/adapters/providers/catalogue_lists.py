"""Lists of models in each kind of provider's words: where to ask, and what the answer says. Nothing here does anything.

Sources: OpenAI `GET /models` (`shutdown_date`), Mistral (`deprecation`) and OpenRouter (`expiration_date`) in the same form, Anthropic
`GET /v1/models` (pages), Gemini `models.list` (pages), Azure OpenAI `Models - List` (`deprecation.inference`), Amazon Bedrock
`ListFoundationModels` (`modelLifecycle.endOfLifeTime`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from urllib.parse import urlencode

from promptship.adapters.providers.dialects import azure, gemini
from promptship.adapters.providers.dialects.call import HttpCall, Target
from promptship.ports.catalogue import ListedModel

_SHUTDOWN: Final = ("shutdown_date", "deprecation", "expiration_date")
_DAY: Final = len("2026-01-01")
_MILLISECONDS: Final = 100_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list, and how to ask for the next one; empty: it was the last."""

    models: tuple[ListedModel, ...]
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDialect:
    """How one kind of provider lists its models. `page` raises KeyError, TypeError, ValueError or AttributeError for what is no list."""

    path: Callable[[Target, str], str]
    """Path and query of a page; the second argument is `Page.next` of the one before."""
    page: Callable[[Any], Page]


def call(target: Target, dialect: ListDialect, after: str = "") -> HttpCall:
    """The GET for a page, signed when the provider wants that."""
    base = target.base_url
    if target.sign is not None or "bedrock-runtime." in base:
        base = base.replace("://bedrock-runtime.", "://bedrock.", 1)  # lists are the control plane's
    made = HttpCall(method="GET", url=base + dialect.path(target, after), headers=target.headers)
    return made if target.sign is None else target.sign(made)


def _openai(value: Any) -> Page:
    entries = value["data"] if isinstance(value, Mapping) else value  # some servers answer with the bare list
    return Page(models=tuple(_of_openai(one) for one in entries))


def _of_openai(one: Mapping[str, Any]) -> ListedModel:
    said = next((one[name] for name in _SHUTDOWN if one.get(name)), None)
    return ListedModel(name=_name(one["id"]), created=_moment(one.get("created")), shuts_down_on=_day(said))


def _anthropic(value: Any) -> Page:
    models = tuple(
        ListedModel(name=_name(one["id"]), created=_moment(one.get("created_at"))) for one in value["data"]
    )
    return Page(models=models, next=str(value.get("last_id") or "") if value.get("has_more") else "")


def _gemini(value: Any) -> Page:
    models = tuple(
        ListedModel(
            name=_name(one["name"]).removeprefix("models/"), shuts_down_on=_day(one.get("shutdownDate"))
        )
        for one in value.get("models") or ()
        if "generateContent" in (one.get("supportedGenerationMethods") or ["generateContent"])
    )
    return Page(models=models, next=str(value.get("nextPageToken") or ""))


def _azure(value: Any) -> Page:
    return Page(
        models=tuple(
            ListedModel(
                name=_name(one["id"]), created=_moment(one.get("created_at")),
                shuts_down_on=_day((one.get("deprecation") or {}).get("inference")),
            )
            for one in value["data"]
        )
    )  # fmt: skip


def _bedrock(value: Any) -> Page:
    return Page(
        models=tuple(
            ListedModel(
                name=_name(one["modelId"]),
                created=_moment((one.get("modelLifecycle") or {}).get("startOfLifeTime")),
                shuts_down_on=_day((one.get("modelLifecycle") or {}).get("endOfLifeTime")),
            )
            for one in value["modelSummaries"]
        )
    )  # fmt: skip


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a model without a name")
    return value


def _moment(value: Any) -> datetime | None:
    """Seconds or milliseconds since 1970, or ISO 8601; None: nothing that could be read."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS else value, UTC)
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return read if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _day(value: Any) -> date | None:
    if isinstance(value, str) and len(value) == _DAY:
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    read = _moment(value)
    return None if read is None else read.astimezone(UTC).date()


def _anthropic_path(_target: Target, after: str) -> str:
    return "/v1/models?" + urlencode({"limit": 1000} | ({"after_id": after} if after else {}))


def _gemini_path(target: Target, after: str) -> str:
    version = target.api_version or gemini.API_VERSION
    return f"/{version}/models?" + urlencode({"pageSize": 1000} | ({"pageToken": after} if after else {}))


def _azure_path(target: Target, _after: str) -> str:
    return "/openai/models?" + urlencode({"api-version": target.api_version or azure.API_VERSION})


LISTS: Final[Mapping[str, ListDialect]] = {
    "openai": ListDialect(path=lambda _target, _after: "/models", page=_openai),
    "anthropic": ListDialect(path=_anthropic_path, page=_anthropic),
    "gemini": ListDialect(path=_gemini_path, page=_gemini),
    "azure": ListDialect(path=_azure_path, page=_azure),
    "bedrock": ListDialect(path=lambda _target, _after: "/foundation-models", page=_bedrock),
}

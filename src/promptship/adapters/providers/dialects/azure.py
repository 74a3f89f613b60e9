"""Azure OpenAI: OpenAI's words, addressed to a deployment, with the version of the API in the query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlencode

from promptship.adapters.providers.dialects.call import HttpCall, Target
from promptship.adapters.providers.dialects.openai_chat import CHAT
from promptship.adapters.providers.dialects.openai_completions import COMPLETIONS
from promptship.adapters.providers.dialects.openai_responses import RESPONSES

API_VERSION: Final = "2024-12-01-preview"


def deployment_path(target: Target, deployment: str, what: str) -> str:
    """`/openai/deployments/<name>/<what>?api-version=…`; the model of a request is the name of a deployment."""
    version = urlencode({"api-version": target.api_version or API_VERSION})
    return f"/openai/deployments/{quote(deployment, safe='')}/{what}?{version}"


def _chat(target: Target, deployment: str, made: Mapping[str, Any]) -> HttpCall:
    return target.call(deployment_path(target, deployment, "chat/completions"), made)


def _completions(target: Target, deployment: str, made: Mapping[str, Any]) -> HttpCall:
    return target.call(deployment_path(target, deployment, "completions"), made)


def _responses(target: Target, _deployment: str, made: Mapping[str, Any]) -> HttpCall:
    version = urlencode({"api-version": target.api_version or "preview"})
    return target.call(f"/openai/v1/responses?{version}", made)


AZURE_CHAT: Final = replace(CHAT, call=_chat)
AZURE_COMPLETIONS: Final = replace(COMPLETIONS, call=_completions)
AZURE_RESPONSES: Final = replace(RESPONSES, call=_responses)

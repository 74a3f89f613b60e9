"""A call of a provider as a value: what a dialect makes of a request, and where it goes. Nothing here does anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import ConfigError, Problem

JSON_HEADER: Final = ("content-type", "application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """One HTTP request. The headers hold the key, so they are not printed."""

    method: str = "POST"
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where calls of one provider go, and how its troubles are told."""

    provider: str
    """Name in messages."""
    base_url: str
    """Without a slash at its end."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Besides the content type; the key is among them."""
    sign: Callable[[HttpCall], HttpCall] | None = field(default=None, repr=False)
    """Puts a signature on the finished call (AWS)."""
    api_version: str = ""
    """Azure: `api-version`; Gemini: `v1beta`."""
    project: str = ""
    """Of Google Cloud; with it Gemini is reached through Vertex AI."""
    location: str = ""
    """Of Google Cloud, with `project`."""
    timeout_s: float = 60.0
    file: str = "promptship.toml"
    """For errors: where the provider is configured."""
    key: str = ""
    refused: str = ""
    """For errors: what to do when the key is not accepted."""
    advice: str = ""
    """For errors: what to do when the request is called wrong."""
    is_local: bool = False
    """On this machine or in a private network: no list price applies."""

    def call(self, path: str, body: Mapping[str, Any]) -> HttpCall:
        """A POST of JSON to `base_url` + `path`, signed when the provider wants that.

        Raises:
            ConfigError: a value that JSON has no form for.
        """
        try:
            content = orjson.dumps(body)
        except TypeError as error:
            key = self.key or "parameters"
            problem = Problem(
                file=self.file, key=key, got=str(error), expected="expected values that JSON can hold"
            )
            raise ConfigError([problem]) from None
        made = HttpCall(url=self.base_url + path, headers=(JSON_HEADER, *self.headers), body=content)
        return made if self.sign is None else self.sign(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one kind of provider is spoken to. All four are pure.

    `body` makes its JSON of a request; `call` addresses a body for a model; `answer` reads the JSON of a 200, and raises KeyError,
    IndexError, TypeError, AttributeError or ValueError when it is not what it should be; `filtered` reads an error's JSON that means
    a content filter (None: it is an error).
    """

    name: str
    body: Callable[[ChatRequest], dict[str, Any]]
    call: Callable[[Target, str, Mapping[str, Any]], HttpCall]
    answer: Callable[[Any], ChatAnswer]
    filtered: Callable[[int, Any], ChatAnswer | None] = lambda _status, _value: None

    def request(self, request: ChatRequest, target: Target) -> HttpCall:
        """The call that asks for one answer. Raises ConfigError: something this provider cannot be asked."""
        return self.call(target, request.model, self.body(request))


def count(value: object) -> int | None:
    """A number of tokens; None: not one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def total(*counts: int | None) -> int | None:
    """Sum of what is known; None: nothing is."""
    known = [one for one in counts if one is not None]
    return sum(known) if known else None


def unsupported(what: str, got: str, expected: str, advice: str = "") -> ConfigError:
    """A request that a provider has no words for."""
    return ConfigError([Problem(file="request", key=what, got=got, expected=expected, advice=advice)])

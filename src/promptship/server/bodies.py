"""Request bodies: bounded in size and time, then typed. Bad input is one clear error, never a crash."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Final, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from promptship.errors import ConfigError, Problem
from promptship.prompts.model import NAME_PATTERN

BODY_BYTES_MAX: Final = 1_000_000
BODY_S_MAX: Final = 10.0
_M = TypeVar("_M", bound=BaseModel)

_NO_NUL: Final = r"^[^\x00]*$"
Who = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$")
]
Reason = Annotated[str, Field(max_length=2000, pattern=_NO_NUL)]
Why = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]


class Body(BaseModel):
    """A JSON object; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Decision(Body):
    """An approver's yes or no. `who`: configured name, e-mail address or Slack id; `seq`: of the request that was seen."""

    who: Who
    reason: Reason = ""
    seq: int | None = None


class Ending(Body):
    """Cancelling or rolling back needs a reason: it is what everybody reads afterwards."""

    who: Who
    reason: Why


class Holding(Body):
    """Pausing or resuming."""

    who: Who
    reason: Reason = ""


class Rollback(Ending):
    """`to`: an earlier stable version instead of the one before."""

    to: Annotated[str, Field(max_length=64, pattern=r"^[0-9a-fA-F]*$")] = ""


class Switch(Rollback):
    """The kill switch. `to`: a version that has served before, instead of the safe one."""

    undo: bool = False


class Opening(Body):
    """A release asked for by hand. `environment`: its name; empty: the default one."""

    prompt: Annotated[str, Field(min_length=1, max_length=500, pattern=_NO_NUL)]
    ref: Annotated[str, Field(min_length=1, max_length=250, pattern=_NO_NUL)]
    who: Who
    reason: Reason = ""
    again: bool = False
    environment: Annotated[str, Field(max_length=40, pattern=r"^[a-z0-9-]*$")] = ""


class Announcement(Body):
    """One updated reference, from our post-receive hook."""

    before: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]
    after: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]
    ref: Annotated[str, Field(min_length=1, max_length=1000, pattern=_NO_NUL)]


async def read_body(request: Request, *, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """The whole body; 413 when it is too large, 408 when it does not arrive."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise HTTPException(413, f"the body may have at most {bytes_max:,} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise HTTPException(413, f"the body may have at most {bytes_max:,} bytes")
    except TimeoutError:
        raise HTTPException(408, f"the body did not arrive within {BODY_S_MAX:.0f} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the client left before the body was complete") from None
    return bytes(body)


async def read_json(request: Request, model: type[_M]) -> _M:
    """The body as `model`. Raises ConfigError with every problem."""
    return parse(await read_body(request), model)


def parse(body: bytes, model: type[_M]) -> _M:
    """JSON as `model`. Raises ConfigError with every problem."""
    try:
        return model.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as problem:
        raise ConfigError([Problem("request body", "", "not JSON", str(problem))]) from None
    except ValidationError as problem:
        raise ConfigError(
            _problem(item["loc"], item["input"], item["msg"]) for item in problem.errors()
        ) from None


def name_in_path(request: Request) -> str:
    """The prompt's name in the path. Raises ConfigError."""
    return checked_name(request.path_params["name"])


def checked_name(name: str) -> str:
    """A prompt's name, checked before it reaches a database. Raises ConfigError."""
    return _checked(name, NAME_PATTERN, "a prompt's name")


def release_in_path(request: Request) -> str:
    """The release's id, or the beginning of one, in the path. Raises ConfigError."""
    release: str = request.path_params["release"]
    return _checked(release, r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$", "a release id or the beginning of one")


def _checked(text: str, pattern: str, expected: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ConfigError([Problem("request", "", repr(text[:80]), f"expected {expected}")])
    return text


def _problem(where: tuple[int | str, ...], got: object, expected: str) -> Problem:
    key = ".".join(str(part) for part in where) or "the whole"
    return Problem("request body", key, repr(got)[:80], expected[:1].lower() + expected[1:])

"""Answers: JSON for results, and one form for every error."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import orjson
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from promptship.errors import (
    ConfigError,
    Conflict,
    IllegalTransition,
    InvalidVariables,
    NotFound,
    PromptshipError,
    Refused,
    Unavailable,
)

STATUS: Final[dict[type[PromptshipError], int]] = {
    ConfigError: 400,
    InvalidVariables: 400,
    Refused: 403,
    NotFound: 404,
    IllegalTransition: 409,
    Conflict: 409,
    Unavailable: 503,
}


def answer(content: object, status: int = 200) -> Response:
    """`content` as JSON: plain data, dataclasses and models."""
    return Response(orjson.dumps(content, default=_plain), status, media_type="application/json")


def error(kind: str, message: str, status: int) -> Response:
    """`{"error": {"type", "message"}}`."""
    return JSONResponse({"error": {"type": kind, "message": message}}, status)


def unauthorized(message: str) -> Response:
    """401: we do not know who is asking."""
    response = error("Unauthorized", message, 401)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def on_promptship_error(_request: Request, problem: Exception) -> Response:
    """Our own errors, each with its status."""
    if not isinstance(problem, PromptshipError):
        return await on_crash(_request, problem)
    status = next((STATUS[kind] for kind in type(problem).__mro__ if kind in STATUS), 400)
    response = error(type(problem).__name__, str(problem), status)
    if isinstance(problem, Unavailable) and problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
    return response


async def on_http_error(_request: Request, problem: Exception) -> Response:
    """What the web framework says: no such path, wrong method, too large."""
    if not isinstance(problem, HTTPException):
        return await on_crash(_request, problem)
    kind = "NotFound" if problem.status_code == HTTPStatus.NOT_FOUND else "BadRequest"
    response = error(kind, problem.detail, problem.status_code)
    response.headers.update(problem.headers or {})
    return response


async def on_crash(_request: Request, _problem: Exception) -> Response:
    """A defect of ours. Its details are in the log and nowhere else."""
    return error("InternalError", "something went wrong here; the control plane's log has the details", 500)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(type(value).__name__)

"""The control plane's HTTP interface as an OpenAPI 3.1 document: made from its routes, so that it cannot fall behind them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from promptship import __version__
from promptship.prompts.model import NAME_PATTERN
from promptship.release.phase import Phase
from promptship.server.answers import answer
from promptship.server.bodies import Decision, Ending, Holding, Opening, Rollback, Switch
from promptship.server.losses import Losses

RELEASE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$"
BODIES: Final[Mapping[tuple[str, str], type[BaseModel]]] = {
    ("post", "/api/routes/losses"): Losses,
    ("post", "/api/releases"): Opening,
    ("post", "/api/releases/{release}/approve"): Decision,
    ("post", "/api/releases/{release}/reject"): Decision,
    ("post", "/api/releases/{release}/cancel"): Ending,
    ("post", "/api/releases/{release}/pause"): Holding,
    ("post", "/api/releases/{release}/resume"): Holding,
    ("post", "/api/prompts/{name}/rollback"): Rollback,
    ("post", "/api/prompts/{name}/kill"): Switch,
}
"""What is sent as JSON."""
_FORMS: Final = frozenset(
    {"/login", "/logout", "/releases/{release}/decide", "/slack/interactions", "/slack/commands"}
)
"""What is sent as a form: by browsers and by Slack."""
_PATH: Final[Mapping[str, Any]] = {
    "release": {"type": "string", "pattern": RELEASE_PATTERN},
    "name": {"type": "string", "pattern": NAME_PATTERN},
}
_QUERY: Final[Mapping[str, list[dict[str, Any]]]] = {
    "/api/releases": [
        {"name": "prompt", "in": "query", "schema": {"type": "string", "pattern": NAME_PATTERN}},
        {
            "name": "phase",
            "in": "query",
            "schema": {"type": "array", "items": {"enum": [phase.value for phase in Phase]}},
        },
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
    ],
    "/api/releases/{release}": [{"name": "looks", "in": "query", "schema": {"enum": ["true", "false"]}}],
}
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}
_REFUSALS: Final = {
    "400": "the request is wrong: what, and what was expected",
    "401": "nobody knows who asks: token, session or signature",
    "403": "it is known who asks, and not allowed",
    "404": "there is no such thing",
    "408": "the body did not arrive in time",
    "409": "it does not fit where the release stands",
    "413": "the body is too large",
    "503": "the ledger, or something else outside, is down; nothing was changed",
}


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    models = sorted({(model, "validation") for model in BODIES.values()}, key=lambda one: one[0].__name__)
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    paths: dict[str, Any] = {}
    for path, route in _flat(routes, ""):
        operations = paths.setdefault(path, {})
        for method in sorted((route.methods or {"GET"}) - {"HEAD"}):
            operations[method.lower()] = _operation(path, method.lower(), route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "promptship control plane", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**schemas["$defs"], "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


async def serve_document(request: Request) -> Response:
    """This document."""
    return answer(document(request.app.routes))


def _flat(routes: Iterable[BaseRoute], prefix: str) -> Iterable[tuple[str, Route]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _flat(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            yield prefix + route.path, route


def _operation(path: str, method: str, route: Route) -> dict[str, Any]:
    told = inspect.getdoc(route.endpoint) or ""
    operation: dict[str, Any] = {
        "operationId": f"{method}_{path.strip('/').replace('/', '_').replace('{', '').replace('}', '') or 'index'}",
        "summary": told.partition("\n")[0],
        "responses": {
            "2XX": {"description": "done"},
            "3XX": {"description": "elsewhere"},
            **{
                code: {
                    "description": text,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for code, text in _REFUSALS.items()
            },
        },
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PATH.get(name, {"type": "string"})}
        for name in route.param_convertors
    ]
    parameters += _QUERY.get(path, []) if method == "get" else []
    if parameters:
        operation["parameters"] = parameters
    body = _body(path, method)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    if path.startswith("/api/"):
        operation["security"] = [{"token": []}]
    return operation


def _body(path: str, method: str) -> dict[str, Any] | None:
    model = BODIES.get((method, path))
    if model is not None:
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
    if method != "post":
        return None
    if path in _FORMS:
        return {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}
    return {"application/json": {"schema": {"type": "object"}}}

"""Routes that travel inside an application's package: what it serves when nothing else can be had."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from promptship.client.kept import lapsed
from promptship.errors import ConfigError, NotFound, Problem
from promptship.routing.table import RoutingTable


class Readable(Protocol):
    """A `pathlib.Path`, or a file of `importlib.resources`."""

    @property
    def name(self) -> str:
        """Shown in errors."""
        ...

    def read_bytes(self) -> bytes:
        """Its content."""
        ...


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    promptship_bundle: int = Field(ge=1, le=1)
    """Version of this format."""
    exported_at_ms: int = Field(ge=0)
    table: RoutingTable


@dataclass(frozen=True, slots=True)
class Bundle:
    """Routes and how old they are."""

    table: RoutingTable
    """Without canaries: everybody gets stable."""
    age_s: float


def make_bundle(table: RoutingTable, *, prompts: Collection[str] = (), at_ms: int) -> bytes:
    """A bundle of these prompts' stable versions (none named: of all). Canaries are left out: nobody watches them there.

    Raises:
        NotFound: a prompt that is named has no stable version.
    """
    names = sorted(prompts or (name for name, route in table.routes.items() if route.stable))
    routes = {name: table.routes[name] for name in names if name in table.routes}
    missing = [name for name in names if name not in routes or routes[name].stable is None]
    if missing:
        raise NotFound(f"no version has been released of: {', '.join(missing)}")
    routes = {name: route.model_copy(update={"split": None}) for name, route in routes.items()}
    versions = {
        route.stable: table.versions[route.stable] for route in routes.values() if route.stable is not None
    }
    kept = RoutingTable(revision=table.revision, routes=routes, versions=versions)
    return (
        _File(promptship_bundle=1, exported_at_ms=at_ms, table=kept).model_dump_json(indent=1) + "\n"
    ).encode()


def read_bundle(file: Readable) -> Bundle:
    """The routes in a bundle.

    Raises:
        ConfigError: there is no such file, or it is no bundle.
    """
    advice = "make it anew with `promptship client export`"
    try:
        read = _File.model_validate_json(file.read_bytes())
    except OSError as error:
        got = error.strerror or type(error).__name__
        raise ConfigError([Problem(file.name, "", got, "expected a bundle of routes", advice)]) from None
    except ValidationError as error:
        problems = [
            Problem(
                file.name, ".".join(map(str, one["loc"])), "not what a bundle has there", one["msg"], advice
            )
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError(problems) from None
    return Bundle(lapsed(read.table), max(0.0, time.time() - read.exported_at_ms / 1000))

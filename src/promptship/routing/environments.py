"""The part of the routing table that one environment is told: its own routes, under the prompts' own names."""

from __future__ import annotations

from promptship.release.environment import parse
from promptship.routing.table import RoutingTable, digests


def of_environment(table: RoutingTable, environment: str) -> RoutingTable:
    """The routes of an environment (empty: of the default one), their versions and nothing else.

    `revision` is the largest of these routes, so that a change elsewhere is no news here.
    """
    names = {name: place for name in table.routes if (place := parse(name)).environment == environment}
    if not environment and len(names) == len(table.routes):
        return table  # there is one environment only
    routes = {
        place.prompt: table.routes[name].model_copy(update={"prompt": place.prompt})
        for name, place in names.items()
    }
    named = {digest for route in routes.values() for digest in digests(route)}
    return RoutingTable(
        revision=max((route.revision for route in routes.values()), default=0),
        routes=routes,
        versions={digest: version for digest, version in table.versions.items() if digest in named},
        sampling={place.prompt: table.sampling[name] for name, place in names.items() if name in table.sampling},
    )  # fmt: skip

"""Where a prompt is served: environments, and the one way in which a route says which it is of.

The route of a prompt in the default environment has the prompt's own name; in another environment it is `<environment>/<prompt>`.
No prompt's name holds a `/`. Releases, claims, routes and telemetry go by the route's name, so environments are apart by themselves.
"""

from __future__ import annotations

from typing import Final, NamedTuple

ENVIRONMENT_PATTERN: Final = r"^[a-z][a-z0-9-]{0,39}$"
"""Names of environments."""
ROUTE_PATTERN: Final = r"^([a-z][a-z0-9-]{0,39}/)?[a-z0-9][a-z0-9._-]{0,99}$"
"""Names of routes."""
DEFAULT: Final = ""
"""The default environment in a `Place`, whatever the settings call it."""
PRODUCTION: Final = "production"
"""What the default environment is called unless the settings name it otherwise."""
_SEPARATOR: Final = "/"


class Place(NamedTuple):
    """A prompt in an environment."""

    environment: str
    """Empty: the default one."""
    prompt: str
    """As the prompt's file names it."""


def route_name(place: Place) -> str:
    """Name of the place's route; also what a release of it has as `prompt`."""
    environment, prompt = place
    return f"{environment}{_SEPARATOR}{prompt}" if environment else prompt


def parse(route: str) -> Place:
    """The place that a route's name says."""
    environment, _, prompt = route.rpartition(_SEPARATOR)
    return Place(environment, prompt)


def prompt_of(route: str) -> str:
    """The prompt's own name, as in its file."""
    return parse(route).prompt

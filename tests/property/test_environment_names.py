"""Names of routes: which environment and which prompt, both ways; and what one environment is told of the table."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.prompts.model import NAME_PATTERN
from promptship.release.environment import (
    DEFAULT,
    ENVIRONMENT_PATTERN,
    ROUTE_PATTERN,
    Place,
    parse,
    prompt_of,
    route_name,
)
from promptship.routing.environments import of_environment
from promptship.routing.table import Route, RoutingTable, Split, Version, digests

ENVIRONMENTS = st.just(DEFAULT) | st.from_regex(ENVIRONMENT_PATTERN, fullmatch=True)
PROMPTS = st.from_regex(NAME_PATTERN, fullmatch=True)
PLACES = st.builds(Place, ENVIRONMENTS, PROMPTS)


@settings(max_examples=40)
@given(PLACES)
def test_a_places_route_says_the_place(place: Place) -> None:
    name = route_name(place)
    assert parse(name) == place
    assert prompt_of(name) == place.prompt
    assert re.fullmatch(ROUTE_PATTERN, name)
    assert (name == place.prompt) == (place.environment == DEFAULT)


@settings(max_examples=40)
@given(st.from_regex(ROUTE_PATTERN, fullmatch=True))
def test_every_name_of_a_route_is_that_of_one_place(name: str) -> None:
    assert route_name(parse(name)) == name
    assert re.fullmatch(NAME_PATTERN, prompt_of(name))


@st.composite
def tables(draw: st.DrawFn) -> RoutingTable:
    """Routes of three environments, some with a canary."""
    places = draw(
        st.lists(
            st.builds(Place, st.sampled_from([DEFAULT, "staging", "dev"]), st.sampled_from(["support", "sales", "a.b"])),
            unique=True,
        )
    )  # fmt: skip
    routes = {}
    for number, place in enumerate(places):
        name, digest = route_name(place), st.sampled_from(["1" * 64, "2" * 64, "3" * 64])
        split = Split(release_id=f"r-{number}", candidate=draw(digest), stage=0, share=0.1, salt="s")
        routes[name] = Route(
            prompt=name, revision=draw(st.integers(1, 9)) + 10 * number, stable=draw(digest),
            split=draw(st.none() | st.just(split)),
        )  # fmt: skip
    named = {digest for route in routes.values() for digest in digests(route)}
    return RoutingTable(
        revision=max((route.revision for route in routes.values()), default=0),
        routes=routes,
        versions={digest: Version(digest=digest, commit="c", content={}) for digest in named},
    )


@settings(max_examples=60)
@given(tables(), st.sampled_from([DEFAULT, "staging", "dev", "unused"]))
def test_an_environment_is_told_its_own_routes_and_versions_and_no_others(
    table: RoutingTable, environment: str
) -> None:
    told = of_environment(table, environment)
    assert {route_name(Place(environment, name)) for name in told.routes} == {
        name for name in table.routes if parse(name).environment == environment
    }
    for name, route in told.routes.items():
        assert route == table.routes[route_name(Place(environment, name))].model_copy(update={"prompt": name})
    assert told.versions.keys() == {one for route in told.routes.values() for one in digests(route)}
    assert told.revision == max((route.revision for route in told.routes.values()), default=0)

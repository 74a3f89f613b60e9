"""The house with environments: dev and staging before production."""

from dataclasses import replace

from promptship.lifecycle import steps, telling
from promptship.lifecycle.app import App
from promptship.lifecycle.approval import approve
from promptship.lifecycle.opening import open_for_push
from promptship.release.history import Release
from promptship.release.phase import OPEN
from promptship.settings import EnvironmentSettings, FreezeSettings
from tests.support.house import House

QUICK = """
[plans.quick]
[plans.quick.experiment]
allowed = false
"""
"""A plan without canary: people are asked at once."""


def chained(*freezes: FreezeSettings, **changed: EnvironmentSettings) -> House:
    """A push to `staging` is released there; what is promoted there opens a release in production."""
    house = House()
    house.plan += QUICK
    environments = {
        "staging": EnvironmentSettings(branch="staging", plan="quick"),
        "production": EnvironmentSettings(after="staging"),
        **changed,
    }
    settings = house.app.settings.model_copy(update={"environments": environments, "freezes": freezes})
    house.app = replace(house.app, settings=settings)
    house.watcher.app = house.app
    return house


def push(house: House, text: str, *, branch: str = "staging", **files: str) -> str:
    """Commit, announce; returns the id of the one release that it opened."""
    before = house.repository.resolve("main").id
    after = house.commit(text, **files)
    house.repository.branch(branch, after)
    (opened,) = open_for_push(
        house.app, before=before, after=after, actor="push:dev@example.org", branch=branch
    )
    return opened.release_id


def run(house: House, release_id: str) -> str:
    """One run of the flow, with a suite that finds nothing."""
    return run_flow(house.app, release_id)


def run_flow(app: App, release_id: str) -> str:
    """One run of the flow over these ports, with a suite that finds nothing."""

    def regress(app: App, release_id: str) -> steps.Standing:
        standing = steps.evaluated(app, release_id)
        if standing is not None:
            return standing
        route = app.routes.get(app.release(release_id).prompt)
        return steps.record_evaluation(
            app, release_id, stable=route.stable if route else None, verdict={"suites": []}, passes=True, because=""
        )  # fmt: skip

    for step in (steps.lint, regress, steps.start_canary, telling.ask, steps.promote):
        if step(app, release_id) is not steps.Standing.GO_ON:
            break
    return telling.conclude(app, release_id).value


def promote(house: House, release_id: str) -> str:
    """Run it to the question, say yes, and run it to its end; returns the phase."""
    run(house, release_id)
    approve(house.app, release_id, who="mira", via="cli")
    return run(house, release_id)


def open_in(house: House, route: str) -> list[Release]:
    """Open releases to a route."""
    return [house.release(one.id) for one in house.ledger.summaries(prompt=route, phases=OPEN)]


def serves(house: House, route: str) -> str | None:
    """Digest that a route serves as stable."""
    found = house.routes.get(route)
    return None if found is None else found.stable

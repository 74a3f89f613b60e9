"""Which checks score a prompt's answers now: those of the plan that its traffic runs under."""

from __future__ import annotations

from dataclasses import dataclass, field

from promptship.errors import NotFound
from promptship.lifecycle.app import App
from promptship.routing.sampling import Drawn, Sampling
from promptship.routing.table import Route, RoutingTable


@dataclass(slots=True)
class Samplings:
    """Adds the sampling to routing tables. Plans are frozen with their release, so each is read once."""

    app: App
    _plans: dict[str, Sampling | None] = field(default_factory=dict)
    _stable: dict[tuple[str, int], str | None] = field(default_factory=dict)
    """By prompt and revision of its route: the release that made the version stable."""

    def add(self, table: RoutingTable) -> RoutingTable:
        """The table with the sampling of every prompt that has checks. Raises Unavailable."""
        found = {prompt: self._of(route) for prompt, route in table.routes.items()}
        sampling = {prompt: one for prompt, one in found.items() if one is not None}
        return table.model_copy(update={"sampling": sampling}) if sampling else table

    def _of(self, route: Route) -> Sampling | None:
        tried = route.split is not None and not route.split.arms  # an experiment has no plan of its own
        release = route.split.release_id if tried and route.split else self._made_stable(route)
        if release is None:
            return None
        if release not in self._plans:
            self._plans[release] = self._read(release)
        return self._plans[release]

    def _made_stable(self, route: Route) -> str | None:
        key = (route.prompt, route.revision)
        if key not in self._stable:
            changes = self.app.routes.history(route.prompt)
            made = (one.release_id for one in changes if one.stable == route.stable != one.previous)
            self._stable[key] = next(made, None)
        return self._stable[key]

    def _read(self, release: str) -> Sampling | None:
        try:
            plan = self.app.release(release).plan
        except NotFound:
            return None
        if plan is None or not plan.online.checks:
            return None
        checks = (
            Drawn(name=one.name, candidate=one.candidate, stable=one.stable, variables=one.variables)
            for one in plan.online.checks
        )
        return Sampling(release=release, checks=tuple(checks))

"""The house of three prompts, of which some go together: the same hands, on all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from promptship.adapters.memory.outbox import MemoryOutbox
from promptship.lifecycle import steps, telling
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.app import App
from promptship.lifecycle.opening import open_for_push
from promptship.release.phase import WATCHED
from promptship.routing.observation import Feedback, Observation
from promptship.routing.split import takes_candidate
from promptship.watcher import Watcher
from tests.support.house import PROMPT, STAGES, SUITE, BusyLedger, House

TOGETHER = {"support": "release: {together: [tools]}\n", "tools": "", "router": ""}
"""Of each prompt, what its file says at the end. `tools` need not name `support` to belong to it."""
PLAN = STAGES.replace('lease = "30s"', 'lease = "5m"')


class DiedError(BaseException):
    """A process that is no more."""


class MortalLedger(BusyLedger):
    """A ledger whose process dies right after one of the next writes."""

    left = 0
    """Writes until then; 0: it lives."""

    def append(self, *words: Any, **more: Any) -> Any:
        return self._or_die(super().append(*words, **more))

    def append_all(self, *words: Any, **more: Any) -> Any:
        return self._or_die(super().append_all(*words, **more))

    def open_release(self, *words: Any, **more: Any) -> Any:
        return self._or_die(super().open_release(*words, **more))

    def _or_die(self, written: Any) -> Any:
        self.left = max(self.left - 1, -1)
        if self.left == 0:
            raise DiedError
        return written


@dataclass
class GroupHouse(House):
    """Three prompts: support and tools are a group, router is alone."""

    plan: str = PLAN

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledger: MortalLedger = MortalLedger(self.routes)
        self.app = replace(self.app, ledger=self.ledger, outbox=MemoryOutbox(self.ledger))
        self.watcher = Watcher(self.app)

    def files(self, texts: dict[str, str], **more: str) -> dict[str, str]:
        files = {"promptship.toml": self.plan}
        for name, text in texts.items():
            body = PROMPT.format(text=text).replace("name: support", f"name: {name}")
            files[f"prompts/{name}.yaml"] = body + more.get(name, TOGETHER.get(name, ""))
            files[f"suites/{name}.yaml"] = SUITE
        return files

    def begin(self, *names: str, **more: str) -> None:
        """Commit and adopt a first version of these prompts."""
        self.texts = {name: f"Say hello, {name}." for name in names or TOGETHER}
        adopt(self.app, [], ref=self.save(**more), actor="person:test")

    def save(self, **more: str) -> str:
        files = self.files(self.texts, **more)
        return self.repository.commit(
            {path: body.encode() for path, body in files.items()}, author="dev@example.org"
        )

    def change(
        self, texts: Mapping[str, str] | None = None, *, more: Mapping[str, str] | None = None, **others: str
    ) -> dict[str, str]:
        """Commit other texts, announce it; returns the releases that were opened, by prompt."""
        before = self.repository.resolve("main").id
        self.texts = {**self.texts, **(texts or {}), **others}
        after = self.save(**(more or {}))
        opened = open_for_push(self.app, before=before, after=after, actor="push:dev@example.org")
        return {one.prompt: one.release_id for one in opened}

    def run_flow(self, release_id: str, *, passes: bool = True) -> str:
        """One run of the release flow, of whichever prompt."""

        def regress(app: App, release_id: str) -> steps.Standing:
            standing = steps.evaluated(app, release_id)
            if standing is not None:
                return standing
            route = app.routes.get(app.release(release_id).prompt)
            return steps.record_evaluation(
                app, release_id, stable=route.stable if route else None, verdict={"suites": []}, passes=passes,
                because="made up",
            )  # fmt: skip

        for step in (steps.lint, regress, steps.start_canary, telling.ask, steps.promote):
            if step(self.app, release_id) is not steps.Standing.GO_ON:
                break
        return telling.conclude(self.app, release_id).value

    def run_due(self) -> None:
        """Runs for whatever is due, until nothing is."""
        for _ in range(10):
            due = self.ledger.due(self.clock.now())
            if not due:
                return
            for one in due:
                self.run_flow(one.id)

    def serve(
        self, requests: int = 100, *, seconds: float = 20.0, bad: Mapping[str, float] | None = None
    ) -> None:
        """Requests of the same users to every prompt with a route; `bad`: share of escalated candidates, by prompt."""
        seen: dict[tuple[str, Any], int] = {}
        for _ in range(requests):
            self.requests += 1
            self.clock.advance(seconds / requests)
            for prompt, route in self.routes.table().routes.items():
                split = route.split
                live = split is not None and split.lease_s > 0
                arm: Any = "stable"
                if (
                    split is not None
                    and live
                    and takes_candidate(split.salt, f"user-{self.requests}", split.share)
                ):
                    arm = "candidate"
                count = seen[prompt, arm] = seen.get((prompt, arm), 0) + 1
                rate = (bad or {}).get(prompt, 0.02) if arm == "candidate" else 0.1
                escalated = int(count * rate) > int((count - 1) * rate)
                self._record(prompt, arm, split if live else None, escalated=escalated)

    def _record(self, prompt: str, arm: Any, split: Any, *, escalated: bool) -> None:
        route = self.routes.get(prompt)
        assert route is not None
        at_ms = int(self.clock.now().timestamp() * 1000)
        version = split.candidate if arm == "candidate" and split else route.stable
        where: dict[str, Any] = {
            "prompt": prompt, "version": version, "arm": arm, "release": split.release_id if split else None,
            "stage": split.stage if split else None,
        }  # fmt: skip
        request = f"request-{prompt}-{self.requests}"
        self.measurements.write(
            Observation(
                id=request, at_ms=at_ms, latency_ms=40.0, status=200, error=False, refusal=False, **where
            )
        )
        if escalated:
            self.measurements.write(
                Feedback(
                    id=f"feedback-{request}", at_ms=at_ms, request=request, request_at_ms=at_ms, kind="escalated",
                    value=True, **where,
                )
            )  # fmt: skip

    def until_all(
        self, ids: dict[str, str], *phases: str, turns: int = 40, bad: Mapping[str, float] | None = None
    ) -> list[str]:
        """Traffic and looks until every release stands in one of the phases; returns where they stand."""
        for _ in range(turns):
            standing = [self.release(one).phase.value for one in ids.values()]
            if all(one in phases for one in standing):
                break
            self.serve(120, bad=bad)
            self.look()
        return [self.release(one).phase.value for one in ids.values()]

    def stable(self, prompt: str) -> str:
        """Digest that is stable now."""
        route = self.routes.get(prompt)
        assert route is not None
        return route.stable or ""

    def shares(self, *prompts: str) -> set[tuple[float, str]]:
        """(share, salt) that the candidates of these prompts have now."""
        routes = self.routes.table().routes
        splits = [routes[prompt].split if prompt in routes else None for prompt in prompts]
        return {(split.share, split.salt) if split is not None else (0.0, "") for split in splits}


def hold_together(house: GroupHouse) -> None:
    """What is true of the groups of a house at every moment: the same share or none, all promoted or none."""
    by_group: dict[tuple[str, ...], list[Any]] = {}
    for summary in house.ledger.summaries(limit=10_000):
        release = house.release(summary.id)
        if release.group:
            by_group.setdefault(release.group, []).append(release)
    for group, releases in by_group.items():
        assert sorted(one.id for one in releases) == list(group)
        shares = set()
        for one in releases:
            route = house.routes.get(one.prompt)
            assert route is not None or one.stable is None
            split = route.split if route is not None else None
            mine = split is not None and split.release_id == one.id and split.is_canary
            shares.add((split.share, split.salt, split.stage) if split is not None and mine else None)
            kinds = house.kinds(one.id)
            if one.phase in WATCHED and "stage_started" in kinds:
                assert mine, f"{one.id} of {one.prompt} is {one.phase} without traffic"
        assert len(shares) == 1, f"{group}: {shares}"
        promoted = {"promoted" in house.kinds(one.id) for one in releases}
        assert len(promoted) == 1, f"{group}: some are promoted and some are not"
        assert len({one.is_open for one in releases}) == 1, f"{group}: some have ended and some have not"
    assert house.ledger.verify().problems == ()

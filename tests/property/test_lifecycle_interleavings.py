"""Whatever people, flows, watchers and pushes do in whatever order, and in each other's middle, certain things stay true."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.errors import PromptshipError
from promptship.lifecycle import kill as switch
from promptship.lifecycle.approval import approve, reject
from promptship.lifecycle.ending import cancel, roll_back_prompt
from promptship.lifecycle.reconcile import reconcile
from promptship.release.events import PHASE_AFTER
from promptship.release.phase import WATCHED, Phase
from tests.support.house import PATH, PROMPT, STAGES, House

TEXTS = (
    "Say hello twice.",
    "Say hello three times.",
    "Say hi.",
    "Say hi twice.",
    "Say hello.",
    "Say {{ nobody }}.",
)
ACTIONS = (
    "push", "flow", "flow", "flow", "flow", "watch", "cap", "cap", "cap", "approve", "approve", "approve", "approve again",
    "bad traffic", "reject", "cancel", "rollback", "reconcile", "day", "slack", "fails", "rollback to", "kill", "revive",
)  # fmt: skip


class World:
    """Actions by name, on the house of one prompt."""

    def __init__(self, on_newer: str, risk: str = "low") -> None:
        self.risk = risk
        plan = STAGES.replace('"wait"', f'"{on_newer}"').replace('dwell = "20s"', 'dwell = "5s"')
        self.house = House(plan=plan.replace("requests_min = 20", "requests_min = 5"))
        self.house.adopt()
        self.pushed: list[str] = []
        self.moving: set[str] = set()
        self.number = 0

    def do(self, action: str, which: int) -> None:
        """A no is an answer; anything but an error of ours is a defect."""
        try:
            self._do(action, which)
        except PromptshipError:
            return

    def _do(self, action: str, which: int) -> None:
        house, app = self.house, self.house.app
        # Mostly the newest: the others have ended.
        release = self.pushed[-1 - (which // 3) % len(self.pushed)] if self.pushed else None
        always: dict[str, Callable[[], object]] = {
            "push": lambda: self._push(which),
            "watch": lambda: self._traffic(0.02),
            "bad traffic": lambda: self._traffic(0.9),
            "rollback": lambda: roll_back_prompt(app, "support", actor="person:test", reason="fire"),
            "rollback to": lambda: roll_back_prompt(
                app,
                "support",
                actor="person:test",
                reason="fire",
                to=house.routes.history("support")[-1].stable or "",
            ),
            "kill": lambda: switch.kill(
                app, "support", actor="person:test", reason="fire", to=house.serving()
            ),
            "revive": lambda: switch.undo(app, "support", actor="person:test", reason="mended"),
            "reconcile": lambda: reconcile(app),
            "cap": self._cap,
            "day": lambda: house.clock.advance(24 * 3600 + 1),
            "slack": self._slack,
        }
        if action in always:
            always[action]()
        elif release is not None:
            about_one: dict[str, Callable[[], object]] = {
                "flow": lambda: self._flow(release, passes=True),
                "fails": lambda: self._flow(release, passes=False),
                "approve": lambda: approve(app, release, who="mira", via="cli"),
                "approve again": lambda: approve(app, release, who="noor", via="cli"),
                "reject": lambda: reject(app, release, who="noor", via="cli"),
                "cancel": lambda: cancel(app, release, actor="person:test", reason="enough"),
            }
            about_one[action]()

    def _push(self, which: int) -> None:
        self.number += 1
        # The comment changes the file, not what the model sees: pushes may repeat a version.
        text = f"{TEXTS[which % len(TEXTS)]}  # {self.number}"
        file = PROMPT.format(text=text) + f"risk: {self.risk}\n"
        self.pushed.append(self.house.push(text, **{PATH: file}))

    def _flow(self, release: str, *, passes: bool) -> None:
        if release in self.moving:
            return  # its lease is held
        self.moving.add(release)
        try:
            self.house.run_flow(release, passes=passes)
        finally:
            self.moving.discard(release)

    def _traffic(self, bad: float) -> None:
        self.house.traffic(30, bad=bad, seconds=6)
        self.house.look()

    def _cap(self) -> None:
        self.house.clock.advance(3601)
        self.house.look()

    def _slack(self) -> None:
        self.house.approvals.down = not self.house.approvals.down


def hold(world: World) -> None:
    """What must be true at every moment."""
    house = world.house
    route = house.routes.get("support")
    assert route is not None
    with_traffic = route.split.release_id if route.split else None
    if route.killed is not None:
        served = house.routes.table().routes["support"]
        assert (served.stable, served.split) == (route.killed, None), (
            "somebody gets another version than the safe one"
        )
    for summary in house.ledger.summaries():
        release = house.release(summary.id)
        kinds = house.kinds(summary.id)
        assert summary.phase == release.phase
        if summary.id == with_traffic:
            assert release.phase in WATCHED, "traffic after the end"
            assert route.split is not None
            assert route.split.candidate == release.version
        if release.phase in WATCHED and "stage_started" in kinds:
            assert summary.id == with_traffic, "a canary without traffic that nobody will look at"
        if "stage_started" in kinds and world.risk == "high":
            before = kinds[: kinds.index("stage_started")]
            assert before.count("approval_given") >= 2, (
                "traffic of a high risk that two people have not agreed to"
            )
        if "promoted" in kinds:
            assert kinds.index("evaluated") < kinds.index("approved") < kinds.index("promoted")
            since = kinds[: kinds.index("promoted")]
            asked = len(since) - since[::-1].index("approval_requested")
            assert "approval_given" in since[asked:], "promoted by a yes to another question"
        if release.is_open and release.phase is not Phase.CANARY:
            assert summary.due_at is not None, f"{release.phase} and nobody will come"
        _told_once_per_ending(kinds, due=summary.due_at is not None, is_open=release.is_open)
    assert house.ledger.verify().problems == ()


def _told_once_per_ending(kinds: list[str], *, due: bool, is_open: bool) -> None:
    moves = [kind for kind in kinds if kind == "concluded" or PHASE_AFTER[kind] is not None]
    assert ("concluded", "concluded") not in set(pairwise(moves))
    if not is_open:
        assert due or moves[-1] == "concluded", "an ending that nobody will tell"


Step = tuple[str, int]
one = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5))
steps = st.lists(st.tuples(one, st.lists(one, max_size=2)), min_size=5, max_size=20)


@settings(max_examples=30, deadline=None)
@given(steps=steps, on_newer=st.sampled_from(["wait", "cancel"]), risk=st.sampled_from(["low", "high"]))
def test_no_order_of_events_breaks_a_release(
    steps: list[tuple[Step, list[Step]]], on_newer: str, risk: str
) -> None:
    world = World(on_newer, risk)
    for (action, which), meanwhile in steps:
        world.house.ledger.meanwhile = [partial(world.do, *step) for step in meanwhile]
        world.do(action, which)
        world.house.ledger.meanwhile = []
        hold(world)


@settings(max_examples=15, deadline=None)
@given(steps=steps)
def test_left_alone_every_release_ends_or_waits_for_a_person(steps: list[tuple[Step, list[Step]]]) -> None:
    world = World("wait")
    for (action, which), _ in steps:
        world.do(action, which)
    house = world.house
    house.approvals.down = False
    for _ in range(3):
        house.clock.advance(24 * 3600)
        for _ in range(4):
            house.look()
            for summary in house.ledger.due(house.clock.now()):
                house.run_flow(summary.id)
            house.clock.advance(3601)
    assert [one for one in house.ledger.summaries() if house.release(one.id).is_open] == []
    assert [one for one in house.ledger.summaries() if one.due_at is not None] == []

"""Whatever is pushed, looked at, agreed to and stopped, in whatever order, and whichever process dies after whichever write:

the candidates of a group have the same share or none, all of it is promoted or nothing, and it ends as one.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.errors import PromptshipError
from promptship.lifecycle import kill as switch
from promptship.lifecycle.approval import approve, reject
from promptship.lifecycle.ending import cancel, roll_back_prompt
from promptship.lifecycle.pausing import pause, resume
from promptship.lifecycle.reconcile import reconcile
from promptship.release.phase import Phase
from tests.support.group_house import PLAN, DiedError, GroupHouse, hold_together

ACTIONS = (
    "push both", "push support", "push tools", "flow", "good week", "good week", "good week", "due", "due", "due", "due", "watch", "watch", "watch", "watch", "cap",
    "cap", "agree", "agree", "agree", "approve", "bad", "reject", "cancel", "rollback", "kill", "revive", "pause", "resume",
    "day", "fails", "reconcile",
)  # fmt: skip
TEXTS = ("Say hi.", "Say hi twice.", "Say hi, too.", "Say hello.", "Say hi again.", "Say {{ nobody }}.")


class World:
    """Actions by name, on the group of support and tools."""

    def __init__(self, on_newer: str) -> None:
        plan = PLAN.replace('"wait"', f'"{on_newer}"').replace('dwell = "20s"', 'dwell = "5s"')
        self.house = GroupHouse(plan=plan.replace("requests_min = 20", "requests_min = 5"))
        self.house.begin("support", "tools")
        self.number = 0

    def do(self, action: str, which: int, dies: int) -> None:
        """A no is an answer, and a process may die after any write; anything else is a defect."""
        ledger = self.house.ledger
        ledger.left = dies
        try:
            self._do(action, which)
        except (PromptshipError, DiedError):
            return
        finally:
            ledger.left = 0

    def _do(self, action: str, which: int) -> None:
        house, app = self.house, self.house.app
        prompt = ("support", "tools")[which % 2]
        newest = house.ledger.summaries(prompt=prompt, limit=2)
        release = newest[(which // 4) % len(newest)].id if newest else ""
        who = "mira" if which < 4 else "noor"
        actions: dict[str, Callable[[], object]] = {
            "push both": lambda: self._push(which, "support", "tools"),
            "push support": lambda: self._push(which, "support"),
            "push tools": lambda: self._push(which, "tools"),
            "watch": lambda: self._traffic({}),
            "bad": lambda: self._traffic({prompt: 0.9}),
            "cap": self._cap,
            "rollback": lambda: roll_back_prompt(app, prompt, actor="person:test", reason="fire"),
            "kill": lambda: switch.kill(
                app, prompt, actor="person:test", reason="fire", to=house.stable(prompt)
            ),
            "revive": lambda: switch.undo(app, prompt, actor="person:test", reason="mended"),
            "reconcile": lambda: reconcile(app),
            "day": lambda: house.clock.advance(24 * 3600 + 1),
            "due": house.run_due,
            "good week": lambda: self._good_week(which),
            "agree": lambda: self._agree(who),
        }
        if release:
            actions |= {
                "flow": lambda: house.run_flow(release),
                "fails": lambda: house.run_flow(release, passes=False),
                "approve": lambda: approve(app, release, who=who, via="cli"),
                "reject": lambda: reject(app, release, who=who, via="cli"),
                "cancel": lambda: cancel(app, release, actor="person:test", reason="enough"),
                "pause": lambda: pause(app, release, actor="person:test"),
                "resume": lambda: resume(app, release, actor="person:test"),
            }
        actions.get(action, lambda: None)()

    def _push(self, which: int, *prompts: str) -> None:
        self.number += 1
        self.house.change({one: f"{TEXTS[which % len(TEXTS)]}  # {self.number}" for one in prompts})

    def _good_week(self, which: int) -> None:
        """As far as a release comes when nothing goes wrong; only a death, or who is asked, stops it."""
        self.house.run_due()
        for _ in range(which // 2):
            self.house.serve(120)
            self.house.look()
        self._agree("mira")
        self._agree("mira")

    def _agree(self, who: str) -> None:
        """Somebody says yes to whatever is asked."""
        self.house.run_due()
        asked = self.house.ledger.summaries(phases=frozenset({Phase.AWAITING_APPROVAL}))
        for summary in asked:
            approve(self.house.app, summary.id, who=who, via="cli")

    def _traffic(self, bad: dict[str, float]) -> None:
        self.house.serve(60, bad=bad, seconds=6)
        self.house.look()

    def _cap(self) -> None:
        self.house.clock.advance(3601)
        self.house.look()


one = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 7), st.sampled_from([0, 0, 1, 2, 3]))
steps = st.lists(one, min_size=5, max_size=25)


@settings(max_examples=25, deadline=None)
@given(steps=steps, on_newer=st.sampled_from(["wait", "cancel"]))
def test_a_group_moves_as_one_whoever_dies(steps: list[tuple[str, int, int]], on_newer: str) -> None:
    world = World(on_newer)
    world.do("push both", 0, 0)
    for step in steps:
        world.do(*step)
        hold_together(world.house)


@settings(max_examples=10, deadline=None)
@given(steps=steps)
def test_left_alone_every_release_of_a_group_ends(steps: list[tuple[str, int, int]]) -> None:
    world = World("wait")
    for step in [("push both", 0, 0), *steps]:
        world.do(*step)
    house = world.house
    for summary in house.ledger.summaries():
        if house.release(summary.id).is_paused:
            resume(house.app, summary.id, actor="person:test")
    for _ in range(5):
        house.clock.advance(24 * 3600)
        for _ in range(4):
            house.look()
            house.run_due()
            house.clock.advance(3601)
    hold_together(house)
    assert [one for one in house.ledger.summaries() if house.release(one.id).is_open] == []
    assert [one for one in house.ledger.summaries() if one.due_at is not None] == []

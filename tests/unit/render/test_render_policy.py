"""What people are shown of an experiment's policy, a high risk and the kill switch."""

from promptship.lifecycle import kill as switch
from promptship.release import events as e
from promptship.release.plan import Plan
from promptship.release.policy import Experiment
from promptship.render.card import approval_card
from promptship.render.facts import fact_line
from promptship.render.policy import policy_words
from tests.support.plane import STABLE, TOKEN, World, client, in_canary, waiting

POLICY = Experiment(
    exclude={"minor": (True,), "region": ("br", "kr")},
    segments={"plan": ("pro",)},
    consent="required",
    disclosure="We test.",
)


def test_a_policy_in_words() -> None:
    assert policy_words(POLICY) == (
        "consent required; without minor = true or region = br, kr; only plan = pro; discloses: We test."
    )
    assert policy_words(Experiment()) == ""
    assert policy_words(Experiment(allowed=False)) == "no experiment is allowed"


def test_the_timeline_and_the_card_say_who_may_be_in_it() -> None:
    plan = Plan(experiment=POLICY)
    linted = e.Linted(version="d" * 64, plan=plan.model_dump(mode="json"), risk="high")
    assert "high risk; experiment: consent required" in fact_line(linted)
    newer = linted.model_copy(update={"plan": {"experiment": {"weather": "fine"}}})
    assert "rules that cannot be read here" in fact_line(newer)
    old = {name: part for name, part in plan.model_dump(mode="json").items() if name != "experiment"}
    assert fact_line(e.Linted(version="d" * 64, plan=old)) == "linted: version dddddddddddd, 0 notes"
    world = World()
    card = approval_card(world.app.release(waiting(world, plan)))
    assert "**Experiment:** consent required; without minor = true or region = br, kr" in "\n".join(
        card.lines
    )


async def test_the_pages_show_whose_kill_switch_is_on_and_why() -> None:
    world = World()
    release_id = in_canary(world)
    switch.kill(
        world.app, "support-reply", actor="person:<mira>", reason="it insults people", to=STABLE.digest
    )
    async with client(world.asgi(), token=None) as http:
        await http.post("/login", data={"token": TOKEN})
        for path in ("/", f"/releases/{release_id}"):
            page = (await http.get(path)).text
            assert "kill switch on: it insults people (by person:&lt;mira&gt;)" in page
        switch.undo(world.app, "support-reply", actor="person:mira", reason="mended")
        assert "kill switch on" not in (await http.get("/")).text

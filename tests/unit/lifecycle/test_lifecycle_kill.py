"""The kill switch and the way back to an earlier version: at once, for everybody, with who and why."""

import pytest

from promptship.errors import NotFound, Refused
from promptship.gateway.rejection import Rejection
from promptship.lifecycle import kill as switch
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.ending import roll_back_prompt
from promptship.prompts.digest import digest, from_canonical
from promptship.prompts.load import load
from promptship.prompts.render import render
from promptship.release.events import RolledBack
from promptship.release.phase import Phase
from promptship.render.history import history_table
from promptship.routing.choice import Choice, Unserved, choose
from tests.support.house import PATH, PROMPT, House

SAFE_PATH = "prompts/safe.yaml"
SAFE = PROMPT.format(text="A person will answer you.").replace("name: support", "name: support-safe")
SAFE_DIGEST = digest(load(SAFE_PATH, SAFE.encode()).prompt)
WHO = "person:mira"


@pytest.fixture
def house() -> House:
    house = House()
    house.adopt()
    house.commit(**{SAFE_PATH: SAFE})
    switch.name_safe(house.app, "support", "support-safe", ref="main", actor=WHO)
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    return house


def served(house: House, *, pin: str = "", unit: str = "user-1") -> Choice | Unserved | Rejection:
    """What a gateway that has just got the table does."""
    route = house.routes.table().routes["support"]
    return choose(route, prompt="support", pin=pin, unit=unit, leased=True)


def serves(house: House) -> set[str]:
    found = {served(house, unit=f"user-{number}") for number in range(50)}
    return {one.version for one in found if isinstance(one, Choice)}


def test_naming_a_safe_version_serves_nothing_yet(house: House) -> None:
    assert serves(house) == {house.serving()}
    assert house.routes.safe("support") == SAFE_DIGEST


def test_everybody_gets_the_safe_version_also_in_a_canary_and_nobody_another(house: House) -> None:
    stable = house.serving()
    release = house.push("Say hello twice.", **{SAFE_PATH: SAFE})
    house.run_flow(release)
    assert len(serves(house)) == 2
    switched = switch.kill(house.app, "support", actor=WHO, reason="it insults people")
    assert (switched.serves, switched.ended) == (SAFE_DIGEST, (release,))
    assert serves(house) == {SAFE_DIGEST}
    assert isinstance(served(house, pin=stable[:12]), Unserved)
    assert list(house.routes.table().versions) == [SAFE_DIGEST]
    ended = house.release(release)
    assert (ended.phase, ended.reason) == (Phase.ROLLED_BACK, "kill switch: it insults people")
    back = switch.undo(house.app, "support", actor="person:noor", reason="mended")
    assert back.serves == stable
    assert serves(house) == {stable}


def test_who_and_why_stand_in_history_and_are_told(house: House) -> None:
    house.run_flow(
        house.push("Say hello twice.", **{SAFE_PATH: SAFE})
    )  # its end is a change of the route, too
    switched = switch.kill(
        house.app, "support", actor=WHO, reason="it insults people; key sk-proj-" + "a" * 30
    )
    assert switch.tell(house.app, switched)
    ((prompt, since),) = switch.killed(house.app)
    assert (prompt, since.actor, since.killed) == ("support", WHO, SAFE_DIGEST)
    table = history_table("support", house.routes.history("support"))
    ((_, told),) = house.approvals.told
    for text in (table, told, switch.notice(prompt, since)):
        assert "kill switch on: it insults people" in text
        assert WHO in text
        assert "aaaa" not in text
    assert f"{SAFE_DIGEST[:7]}" in table
    switch.undo(house.app, "support", actor="person:noor", reason="mended")
    assert switch.killed(house.app) == []
    assert "kill switch off: mended" in history_table("support", house.routes.history("support"))


def test_slack_being_down_keeps_nobody_from_killing(house: House) -> None:
    house.approvals.down = True
    switched = switch.kill(house.app, "support", actor=WHO, reason="fire")
    assert not switch.tell(house.app, switched)
    assert serves(house) == {SAFE_DIGEST}


def test_nothing_starts_or_is_promoted_under_the_switch(house: House) -> None:
    waiting = house.in_question("Say hello twice.")
    house.ledger.meanwhile = [lambda: None]
    switch.kill(house.app, "support", actor=WHO, reason="fire")
    assert house.release(waiting).phase is Phase.ROLLED_BACK
    later = house.push("Say hello three times.", **{SAFE_PATH: SAFE})
    assert house.run_flow(later) == "cancelled"
    assert "kill switch" in house.release(later).reason
    assert serves(house) == {SAFE_DIGEST}


def test_a_canary_that_begins_in_that_instant_is_ended_too(house: House) -> None:
    release = house.push("Say hello twice.", **{SAFE_PATH: SAFE})

    def fire() -> None:
        switch.kill(house.app, "support", actor=WHO, reason="fire")

    # Between reading the route and starting the stage: the fourth write is the stage's.
    house.ledger.meanwhile = [lambda: None, lambda: None, fire]
    assert house.run_flow(release) in {"cancelled", "rolled_back"}
    route = house.routes.get("support")
    assert route is not None
    assert route.split is None


def test_a_canary_that_outlived_the_kill_does_not_come_back_with_the_rest(house: House) -> None:
    stable = house.serving()
    release = house.push("Say hello twice.", **{SAFE_PATH: SAFE})
    house.run_flow(release)
    # As if whoever turned it on had died right after the first transaction.
    house.routes.kill("support", SAFE_DIGEST, actor=WHO, at=house.clock.now(), reason="fire")
    assert serves(house) == {SAFE_DIGEST}
    switch.undo(house.app, "support", actor=WHO, reason="mended")
    assert serves(house) == {stable}
    assert house.release(release).phase is Phase.ROLLED_BACK


def test_undo_is_refused_when_the_switch_is_off_and_without_a_safe_version_it_says_what_to_do(
    house: House,
) -> None:
    with pytest.raises(Refused, match="off"):
        switch.undo(house.app, "support", actor=WHO, reason="?")
    with pytest.raises(NotFound, match="not served"):
        switch.kill(house.app, "nobody", actor=WHO, reason="fire")
    bare = House()
    bare.adopt()
    with pytest.raises(NotFound, match="--safe-for support"):
        switch.kill(bare.app, "support", actor=WHO, reason="fire")
    stable = bare.serving()
    assert switch.kill(bare.app, "support", actor=WHO, reason="fire", to=stable[:8]).serves == stable


def test_a_safe_version_must_answer_every_caller(house: House) -> None:
    needy = (
        SAFE.replace("A person will answer you.", '"{{ name }}, a person will answer you."')
        + "variables: {name: {type: string}}\n"
    )
    house.commit(**{SAFE_PATH: needy})
    with pytest.raises(Refused, match="name"):
        switch.name_safe(house.app, "support", SAFE_PATH, ref="main", actor=WHO)
    optional = needy.replace("{type: string}", "{type: string, required: false, default: friend}")
    house.commit(**{SAFE_PATH: optional})
    switch.name_safe(house.app, "support", SAFE_PATH, ref="main", actor=WHO)


def test_a_safe_version_takes_the_variables_that_callers_send_today() -> None:
    asking = (
        PROMPT.format(text='"{{ question }}"')
        + "variables: {question: {type: string}, age: {type: integer}}\n"
    )
    house = House()
    house.commit(**{PATH: asking, SAFE_PATH: SAFE})
    adopt(house.app, ["support"], ref="main", actor=WHO)
    named = switch.name_safe(house.app, "support", SAFE_PATH, ref="main", actor=WHO)
    kept = from_canonical("support", house.routes.version(named).content)
    for sent in ({"question": "why?", "age": 17}, {"question": "why?", "age": None}, {}):
        assert render(kept, sent).messages[0]["content"] == "A person will answer you."


def test_a_rollback_under_the_switch_waits_beneath_it(house: House) -> None:
    first = house.serving()
    house.promote(house.in_question("Say hello twice."))
    switch.kill(house.app, "support", actor=WHO, reason="fire")
    roll_back_prompt(house.app, "support", actor=WHO, reason="it was this one")
    assert serves(house) == {SAFE_DIGEST}
    switch.undo(house.app, "support", actor=WHO, reason="mended")
    assert serves(house) == {first}


def test_back_to_a_version_before_the_one_before() -> None:
    house = House()
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    first = house.serving()
    house.promote(house.in_question("Say hello twice."))
    second = house.serving()
    third = house.in_question("Say hello three times.")
    house.promote(third)
    assert roll_back_prompt(house.app, "support", actor=WHO, reason="fire", to=first[:10].upper()) == third
    assert house.serving() == first
    fact = house.ledger.events(third)[-1].fact
    assert isinstance(fact, RolledBack)
    assert (fact.by, fact.version) == ("person", first)
    for newer in (second, "f" * 64, "abc", ""):
        with pytest.raises(NotFound):  # "" is the plain way back, and there is none
            roll_back_prompt(house.app, "support", actor=WHO, reason="fire", to=newer[:12])
    assert house.serving() == first
    assert house.ledger.verify().problems == ()


def test_nothing_newer_is_rolled_back_to() -> None:
    house = House()
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    house.promote(house.in_question("Say hello twice."))
    second = house.serving()
    house.promote(house.in_question("Say hello three times."))
    third = house.serving()
    roll_back_prompt(house.app, "support", actor=WHO, reason="fire")
    assert house.serving() == second
    with pytest.raises(NotFound, match="no version to go back to"):
        roll_back_prompt(house.app, "support", actor=WHO, reason="oops", to=third)
    assert house.serving() == second


def test_a_running_canary_may_be_left_to_a_version_before_stable() -> None:
    house = House()
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    first = house.serving()
    house.promote(house.in_question("Say hello twice."))
    running, waiting = house.push("Say hello three times."), ""
    house.run_flow(running)
    waiting = house.push("Say hi.")
    assert roll_back_prompt(house.app, "support", actor=WHO, reason="fire", to=first) == running
    assert house.serving() == first
    assert house.release(running).phase is Phase.ROLLED_BACK
    assert house.release(waiting).phase is Phase.CANCELLED  # it would be compared with what is gone

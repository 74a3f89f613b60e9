"""Every event that a sink wants is told exactly once, in the order of its release, or becomes a dead letter."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from promptship.errors import Refused, Unavailable
from promptship.lifecycle.announcing import TRIES_MAX, announce
from promptship.release import events as e
from promptship.release.history import Release
from tests.support.house import House

SINK = "sink"


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Scripted:
    """Does what the script says, then takes everything."""

    script: list[str]
    name: str = SINK
    heard: list[tuple[str, int]] = field(default_factory=list)
    refused: list[tuple[str, int]] = field(default_factory=list)
    killed: int = 0

    def wants(self, fact: e.Fact) -> bool:
        return not isinstance(fact, e.Stumbled) or fact.step != "quiet"

    def tell(self, event: e.Event, release: Release) -> None:
        assert release.id == event.release_id
        word = self.script.pop(0) if self.script else "take"
        if word == "down":
            raise Unavailable("down")
        if word == "refuse":
            self.refused.append((event.release_id, event.seq))
            raise Refused("no")
        self.heard.append((event.release_id, event.seq))
        if word == "killed":
            self.killed += 1
            raise Killed


def until_quiet(house: House, sink: Scripted) -> None:
    for _ in range(200):
        try:
            announce(house.app, sink)
        except Killed:
            continue
        house.clock.advance(seconds=4000)
        if not house.outbox.pending(SINK, at=house.clock.now()):
            return
    raise AssertionError("it is never done")


def happened(house: House, what: Iterable[tuple[int, bool]]) -> list[tuple[str, int]]:
    """Events of three releases; returns those that are told."""
    releases = [house.app.ledger.open_release(request(number), actor="push", at=house.clock.now())[0] for number in range(3)]  # fmt: skip
    told = [(release_id, 0) for release_id in releases]
    for number, quiet in what:
        release = house.app.release(releases[number])
        fact = e.Stumbled(step="quiet" if quiet else "lint", reason="down")
        house.app.ledger.append(
            release.id, [fact], expected_seq=release.seq, actor="flow", at=house.clock.now()
        )
        if not quiet:
            told.append((release.id, release.seq + 1))
    return told


def request(number: int) -> e.Requested:
    return e.Requested(
        prompt=f"p{number}", path="prompts/p.md", commit=f"{number}" * 40, author="dev@example.org"
    )


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=8),
    st.lists(st.sampled_from(["take", "down", "refuse", "killed"]), max_size=12),
)
def test_each_event_once_and_in_order(what: list[tuple[int, bool]], script: list[str]) -> None:
    house = House()
    house.outbox.begin(SINK, at=house.clock.now())
    sink = Scripted(script)
    wanted = happened(house, what)
    until_quiet(house, sink)
    for release_id in {release_id for release_id, _ in wanted}:
        there = [seq for id_, seq in wanted if id_ == release_id]
        heard = [seq for id_, seq in sink.heard if id_ == release_id]
        dead = {seq for id_, seq in sink.refused if id_ == release_id}
        assert list(dict.fromkeys(heard)) == [seq for seq in there if seq not in dead - set(heard)]
        assert heard == sorted(heard)
    assert len(sink.heard) - len(set(sink.heard)) <= sink.killed  # a crash repeats one event at most
    letters = {(letter.release_id, letter.seq) for letter in house.outbox.dead_letters()}
    assert letters == set(sink.refused)


def test_a_sink_that_stays_down_ends_in_a_dead_letter_and_holds_nothing_else_up() -> None:
    house = House()
    house.outbox.begin(SINK, at=house.clock.now())
    first, *rest = happened(house, [])
    sink = Scripted(["down"] * TRIES_MAX)
    until_quiet(house, sink)
    assert [(letter.release_id, letter.seq) for letter in house.outbox.dead_letters()] == [first]
    assert sink.heard == rest


def test_one_that_is_down_is_not_asked_for_every_release() -> None:
    house = House()
    house.outbox.begin(SINK, at=house.clock.now())
    happened(house, [])
    sink = Scripted(["down", "take"])
    assert announce(house.app, sink) == 0
    assert sink.script == ["take"]

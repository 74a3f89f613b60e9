"""Pushes to a real repository, announced in any order and any number of times, open what they open once and in order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from promptship.adapters.git import GitRepository
from promptship.lifecycle.app import App
from promptship.lifecycle.opening import take_push
from promptship.release.phase import OPEN
from tests.support.plane import World
from tests.support.repositories import git

ZEROS = "0" * 40
FILES = {"late": "prompts/späte antwort.yaml", "refund": "prompts/refund.yaml"}
SUITES = {"late": "suites/late.yaml", "refund": "suites/refund.yaml"}
Files = dict[str, bytes]


@dataclass
class Place:
    """A bare repository, and what every commit of it holds, as Python sees it."""

    path: Path
    held: dict[str, Files] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    """Where main has been."""
    number: int = 0

    def commit(self, parents: list[str], changes: Mapping[str, bytes | None]) -> str:
        self.number += 1
        told = b"commit %d" % self.number
        lines = [
            b"commit refs/tests/new",
            b"committer Dev <dev@example.com> %d +0000" % (1_700_000_000 + self.number),
        ]
        lines += [b"data %d" % len(told), told]
        lines += [b"from " + parents[0].encode()] if parents else []
        lines += [b"merge " + other.encode() for other in parents[1:]]
        files = dict(self.held[parents[0]]) if parents else {}
        for path, content in changes.items():
            if content is None:
                lines.append(b'D "' + path.encode() + b'"')
                files.pop(path, None)
            else:
                lines += [b'M 100644 inline "' + path.encode() + b'"', b"data %d" % len(content), content]
                files[path] = content
        git(self.path, "fast-import", "--quiet", "--force", stdin=b"\n".join(lines) + b"\n")
        made = git(self.path, "rev-parse", "refs/tests/new")
        git(self.path, "update-ref", "-d", "refs/tests/new")
        self.held[made] = files
        return made

    def text(self, name: str, kind: str) -> tuple[str, bytes | None]:
        """A change that was never made before."""
        self.number += 1
        if kind == "remove":
            return FILES[name], None
        if kind == "suite":
            return SUITES[name], b"cases: [{id: c%d, assert: [{type: icontains, value: a}]}]\n" % self.number
        body = f"name: {name}\nmodel: sim-1\nmessages:\n  - {{role: user, content: text {self.number}}}\n"
        return FILES[name], body.encode()


@dataclass(frozen=True)
class Pushed:
    before: str
    after: str


Change = tuple[str, str]
changes = st.lists(
    st.tuples(
        st.sampled_from(sorted(FILES)), st.sampled_from(["prompt", "prompt", "prompt", "suite", "remove"])
    ),
    min_size=1,
    max_size=3,
)
one_push = st.tuples(
    st.sampled_from(["commits", "commits", "commits", "back", "rewrite", "merge", "delete"]),
    st.lists(changes, min_size=1, max_size=2),
    st.integers(0, 5),
    st.lists(st.integers(0, 9), max_size=3),
)


def move(place: Place, head: str, how: str, made: list[list[Change]], which: int) -> str:
    """Move main as this push does; returns the new head."""
    earlier = place.heads[which % len(place.heads)] if place.heads else ""
    base = earlier if how in {"back", "rewrite"} or not head else head
    if how == "back" and base:
        return base
    if how == "merge" and head and earlier:
        content = dict([place.text(*one) for one in made[0]])
        side = place.commit([earlier], content)
        return place.commit([head, side], content)
    for each in made:
        base = place.commit([base] if base else [], dict(place.text(*one) for one in each))
    return base


def expected(place: Place, push: Pushed) -> set[tuple[str, str]]:
    """What a push opens, told from the files alone."""
    old = place.held.get(push.before)
    new = place.held[push.after]
    found = set()
    for name, path in FILES.items():
        if path not in new:
            continue
        judged = old is None or old.get(SUITES[name]) != new.get(SUITES[name])
        if judged or old is None or old.get(path) != new[path]:
            found.add((name, push.after))
    return found


def judged_by(place: Place, name: str, commit: str) -> tuple[bytes | None, bytes | None]:
    """The text and the suite of a release."""
    files = place.held[commit]
    return files.get(FILES[name]), files.get(SUITES[name])


def opened(app: App) -> tuple[set[tuple[str, str]], dict[str, str]]:
    """Every (prompt, commit) with a release, and the commit of the open one by prompt."""
    summaries = app.ledger.summaries(limit=1000)
    still = [one for one in summaries if one.phase in OPEN]
    assert len({one.prompt for one in still}) == len(still), "two open releases of one prompt"
    return {(one.prompt, one.commit) for one in summaries}, {one.prompt: one.commit for one in still}


@contextmanager
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="pushes-") as directory:
        git(Path(directory), "init", "--quiet", "--bare", "--initial-branch=main")
        yield Place(Path(directory))


@pytest.mark.slow
@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(pushes=st.lists(one_push, min_size=2, max_size=6), rest=st.randoms(use_true_random=False))
def test_any_order_and_repetition_of_deliveries_opens_the_same_releases(
    pushes: list[tuple[str, list[list[Change]], int, list[int]]], rest: Random
) -> None:
    with place() as here:
        app = World(repository=cast("Any", GitRepository(here.path))).app
        head, done, waiting = "", [], []
        wanted: set[tuple[str, str]] = set()
        last: dict[str, str] = {}
        while pushes and pushes[-1][0] == "delete":  # a branch that is gone in the end has no newest state
            pushes = pushes[:-1]
        for how, made, which, now in pushes:
            after = "" if how == "delete" else move(here, head, how, made, which)
            if after == head:
                continue
            if after:
                git(here.path, "update-ref", "refs/heads/main", after)
                here.heads.append(after)
                push = Pushed(head or ZEROS, after)
                waiting.append(push)
                done.append(push)
                wanted |= expected(here, push)
                last.update(expected(here, push))
            else:
                git(here.path, "update-ref", "-d", "refs/heads/main")
            head = after
            for number in now:  # some are told at once, some late, some twice
                if done:
                    deliver(app, done[number % len(done)], waiting)
        for push in rest.sample(done, len(done)):
            deliver(app, push, waiting)
        assert waiting == []
        found, still = opened(app)
        assert found == wanted
        assert still.keys() == last.keys()
        for name, commit in still.items():
            if FILES[name] in here.held[head]:  # of a prompt that is not there any more nothing is current
                assert judged_by(here, name, commit) == judged_by(here, name, head)


def deliver(app: App, push: Pushed, waiting: list[Pushed]) -> None:
    take_push(app, before=push.before, after=push.after, actor="push:dev@example.com")
    if push in waiting:
        waiting.remove(push)

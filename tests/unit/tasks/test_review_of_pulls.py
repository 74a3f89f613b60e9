"""A pull request is reviewed: lint, suites of head against what production serves, one comment, and the mark on the commit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptship.adapters.memory.hosts import MemoryHost
from promptship.errors import Unavailable
from promptship.lifecycle import reviewing
from promptship.tasks.review import begin_review, tell_review
from promptship.tasks.reviewing import examine, not_asked
from tests.support.house import PATH, PROMPT, SUITE
from tests.support.reviewed import Reviewed, changed

pytestmark = pytest.mark.slow  # imports Prefect
FAILING = "cases: [{id: hello, assert: [{type: icontains, value: goodbye}]}]"


@pytest.fixture
def here(tmp_path: Path) -> Reviewed:
    return Reviewed(tmp_path)


def test_a_change_that_passes(here: Reviewed) -> None:
    pull = here.pull(changed())
    assert here.review(pull) == "success"
    assert here.mark(pull).outcome == "success"
    assert "{+ to everybody+}" in here.comment.replace("hello{+", "{+")
    assert "| support | support | passes |" in here.comment
    assert "against production" in here.comment
    assert here.house.repository.fetched == [("refs/pull/7/head",)]
    assert list(here.app.ledger.summaries()) == [], "nothing is released"


def test_a_change_that_fails_its_suite(here: Reviewed) -> None:
    plan = "[plans.default.regression]\npass_rate_min = 1.0\n"
    pull = here.pull(changed(), {"suites/support.yaml": FAILING, "promptship.toml": plan})
    assert here.review(pull) == "failure"
    assert "fails" in here.comment


def test_lint_errors_are_annotations_at_their_lines(here: Reviewed) -> None:
    pull = here.pull(changed("Say {{ nobody }}."))
    assert here.review(pull) == "failure"
    errors = [one for one in here.mark(pull).annotations if one.level == "failure"]
    assert errors[0].path == PATH
    assert errors[0].line > 1
    assert "no suite is run" in here.comment


def test_a_suite_alone_is_run_too(here: Reviewed) -> None:
    pull = here.pull({"suites/support.yaml": SUITE.replace("hello,", "greeting,")})
    assert here.review(pull) == "success"
    assert "| support | support | passes |" in here.comment


def test_broken_plans_are_a_failure_although_no_prompt_changed(here: Reviewed) -> None:
    pull = here.pull({"promptship.toml": "[plans.default\n"})
    assert here.review(pull) == "failure"


def test_a_broken_suite_is_a_failure(here: Reviewed) -> None:
    pull = here.pull(changed(), {"suites/support.yaml": "cases: 5"})
    assert here.review(pull) == "failure"
    assert "suites/support.yaml" in here.comment


def test_without_a_changed_prompt_nobody_is_bothered(here: Reviewed) -> None:
    pull = here.pull({"README.md": "x"})
    assert here.review(pull) == "success"
    assert here.host.comments == {}
    assert here.mark(pull).title == "no prompt changes"


def test_a_new_head_replaces_the_one_comment(here: Reviewed) -> None:
    first = here.pull(changed())
    here.review(first)
    second = here.pull(changed("Say {{ nobody }}."))
    assert here.review(second) == "failure"
    assert second.head[:12] in here.comment
    assert first.head[:12] not in here.comment


def test_a_head_is_reviewed_once(here: Reviewed) -> None:
    pull = here.pull(changed())
    assert here.review(pull) == "success"
    before = len(here.app.journal.entries("review:github:7"))
    assert here.review(pull) == ""
    assert len(here.app.journal.entries("review:github:7")) == before
    assert reviewing.restart(here.app) == 0


def test_a_run_that_died_is_taken_up_where_it_was(here: Reviewed) -> None:
    pull = here.pull(changed())
    begun = begin_review(here.app, "github", 7, pull.head)
    assert begun == pull
    examine(here.app, "github", pull)
    asked = len(here.app.models.requests)  # type: ignore[attr-defined]
    assert here.review(pull) == "success"
    assert len(here.host.marks) == 1
    assert len(here.app.models.requests) == asked, "what was answered is not paid again"  # type: ignore[attr-defined]


def test_a_head_that_is_not_there_any_more_is_not_reviewed(here: Reviewed) -> None:
    old = here.pull(changed())
    here.pull(changed("Say hello twice."))
    assert here.review(old) == ""
    assert here.host.marks == {}


def test_a_push_during_the_review_leaves_the_comment_to_the_next(here: Reviewed) -> None:
    pull = here.pull(changed())
    begun = begin_review(here.app, "github", 7, pull.head)
    assert begun is not None
    review = examine(here.app, "github", begun)
    here.pull(changed("Say hello twice."))
    assert tell_review(here.app, "github", begun, review) == "outdated"
    assert here.host.comments == {}
    assert here.mark(pull).outcome == "neutral"


def test_a_head_pushed_during_a_review_is_reviewed_although_its_run_found_the_other_at_work(
    here: Reviewed,
) -> None:
    app, first = here.app, here.pull(changed())
    assert reviewing.ask(app, host="github", number=7, head=first.head)
    second = here.pull(changed("Say hello twice."))
    assert reviewing.ask(
        app, host="github", number=7, head=second.head
    )  # its run ends at once: the first holds the lease
    assert here.review(first) == ""
    here.house.clock.advance(app.settings.watcher.retry_every * 2)
    assert reviewing.restart(app) == 1
    assert here.review(second) == "success"
    here.house.clock.advance(app.settings.watcher.retry_every * 64)
    assert reviewing.restart(app) == 0


def test_a_head_that_is_pushed_again_after_another_is_reviewed_again(here: Reviewed) -> None:
    app, first = here.app, here.pull(changed())
    begun = begin_review(app, "github", 7, first.head)
    assert begun is not None
    here.pull(changed("Say hello twice."))
    assert tell_review(app, "github", begun, examine(app, "github", begun)) == "outdated"
    runs = len(here.house.orchestrator.reviews)
    assert begin_review(app, "github", 7, first.head) is None, "a run that comes late asks for no other"
    assert len(here.house.orchestrator.reviews) == runs
    here.host.pulls[7] = first  # git push --force
    assert reviewing.ask(app, host="github", number=7, head=first.head)
    assert len(here.house.orchestrator.reviews) == runs + 1
    assert here.review(first) == "success"
    told = [report.outcome for head, _, report in here.host.marks.values() if head == first.head and report]
    assert told == ["neutral", "success"]
    assert not reviewing.ask(app, host="github", number=7, head=first.head)


def test_a_closed_pull_request_is_not_reviewed(here: Reviewed) -> None:
    pull = here.pull(changed())
    here.host.pulls[7] = replace(pull, is_open=False)
    assert here.review(pull) == ""
    assert here.host.marks == {}


@pytest.mark.parametrize("forks", [False, True])
def test_a_fork_is_linted_and_its_suites_run_only_when_the_settings_say_so(
    tmp_path: Path, forks: bool
) -> None:
    here = Reviewed(tmp_path, forks=forks)
    pull = here.pull(changed(), fork=True)
    assert here.review(pull) == ("success" if forks else "neutral")
    asked = here.app.models.requests  # type: ignore[attr-defined]
    assert bool(asked) == forks
    assert ("forks = true" in here.comment) != forks


def test_a_secret_in_what_is_told_is_masked(here: Reviewed) -> None:
    key = "sk-" + "a1B2" * 8
    pull = here.pull(changed(f"Say hello with {key}."))
    here.review(pull)
    assert key not in here.comment
    assert key not in here.mark(pull).summary


def test_a_host_that_takes_no_comment_still_gets_the_mark(
    here: Reviewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptship.errors import Refused

    def refuse(*_: Any, **__: Any) -> str:
        raise Refused("the token may not write comments")

    monkeypatch.setattr(MemoryHost, "comment", refuse)
    pull = here.pull(changed())
    assert here.review(pull) == "success"
    assert here.mark(pull).outcome == "success"


def test_what_could_not_be_asked_is_no_verdict(here: Reviewed) -> None:
    pull = here.pull(changed())
    begun = begin_review(here.app, "github", 7, pull.head)
    assert begun is not None
    told = not_asked(pull, Unavailable("the provider is down, api_key=abcdefghijk"))
    assert tell_review(here.app, "github", begun, told) == "neutral"
    assert "abcdefghijk" not in here.comment


def test_nobody_is_called_by_what_a_stranger_wrote(here: Reviewed) -> None:
    pull = here.pull(
        {"prompts/@everyone.yaml": PROMPT.format(text="{{ x }}").replace("support", "evil")}, fork=True
    )
    here.review(pull)
    assert "@\u200beveryone" in here.comment
    assert "@everyone" not in here.comment

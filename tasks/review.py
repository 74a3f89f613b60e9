"""The steps of the review flow as Prefect tasks: the host is told that a review begins, what is examined, how it ended."""

from __future__ import annotations

import logging
from typing import Final

from prefect import task
from prefect.runtime import task_run

from promptship.errors import NotFound, PromptshipError, Refused, Unavailable
from promptship.lifecycle import reviewing
from promptship.lifecycle.app import App
from promptship.ports import Annotation, Pull, Report
from promptship.render import review as render
from promptship.render.redact import redact
from promptship.render.review import ReviewTold
from promptship.tasks.policy import RETRIES, STEP
from promptship.tasks.reviewing import examine, not_asked
from promptship.wiring import app

_log = logging.getLogger(__name__)

MARKER: Final = "<!-- promptship:review -->"
SUMMARY_MAX: Final = 60_000


@task(name="begin the review", **STEP)
def begin(host: str, number: int, head: str) -> Pull | None:
    """Mark the head as being reviewed; None: it is reviewed already, or is not what the pull request holds now."""
    return begin_review(app(), host, number, head)


@task(name="examine", **STEP)
def look(host: str, pull: Pull) -> ReviewTold:
    """Lint and suites. What is down outside is tried again; after the last try there is no verdict."""
    try:
        return examine(app(), host, pull)
    except Unavailable as error:
        if (task_run.run_count or 0) <= RETRIES:
            raise
        return not_asked(pull, error)
    except PromptshipError as error:
        return not_asked(pull, error)


@task(name="tell", **STEP)
def tell(host: str, pull: Pull, review: ReviewTold) -> str:
    """The mark on the commit, and the one comment; returns the outcome."""
    return tell_review(app(), host, pull, review)


def begin_review(app: App, host: str, number: int, head: str) -> Pull | None:
    """The use case of `begin`. Raises Refused: no such host is configured."""
    place = app.hosts.get(host)
    if place is None:
        raise Refused(f"no {host} is configured")
    standing = reviewing.standing(app, host, number, head)
    if standing is None:  # started by hand: nobody has asked yet
        reviewing.ask(app, host=host, number=number, head=head)
        standing = reviewing.standing(app, host, number, head)
    if standing is None or standing.outcome:
        return None
    try:
        pull = place.pull(number)
    except NotFound as error:
        _log.warning("nothing to review: %s", error)
        reviewing.note(app, host, number, reviewing.DONE, head=head, outcome="gone")
        return None
    if not pull.is_open or pull.head != head:
        reviewing.note(app, host, number, reviewing.DONE, head=head, outcome=reviewing.OUTDATED)
        return None
    reference = place.begin(head, title="lint and suites are running", known=standing.reference)
    if reference != standing.reference:
        reviewing.note(app, host, number, reviewing.BEGUN, head=head, reference=reference)
    return pull


def tell_review(app: App, host: str, pull: Pull, review: ReviewTold) -> str:
    """The use case of `tell`: safe to repeat, everything replaces itself."""
    place, number, head = app.hosts[host], pull.number, pull.head
    standing = reviewing.standing(app, host, number, head)
    if standing is None or standing.outcome:
        return standing.outcome if standing else ""
    outdated = place.pull(number).head != head
    comment = standing.comment
    # Without anything to say, a first comment is noise; an earlier one must not keep telling what is gone.
    if not outdated and (comment or review.prompts or review.findings or review.removed):
        try:
            comment = place.comment(number, render.text(review), marker=MARKER, known=comment)
        except Refused as error:
            _log.warning("the review of %s %d is told by its mark only: %s", host, number, error)
    report = Report(
        outcome="neutral" if outdated else review.outcome,
        title="a newer commit is reviewed instead" if outdated else render.title(review),
        summary=render.text(review)[:SUMMARY_MAX],
        annotations=() if outdated else _annotations(review),
    )
    place.finish(head, standing.reference, report)
    outcome = reviewing.OUTDATED if outdated else review.outcome
    reviewing.note(app, host, number, reviewing.DONE, head=head, outcome=outcome, comment=comment)
    return outcome


def _annotations(review: ReviewTold) -> tuple[Annotation, ...]:
    return tuple(
        Annotation(
            path=one.path, line=one.line, level="failure" if one.severity == "error" else "warning",
            title=one.rule, message=redact(one.message + (f" ({one.advice})" if one.advice else "")),
        )
        for one in review.findings[: render.FINDINGS_MAX * 2]
    )  # fmt: skip

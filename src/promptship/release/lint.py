"""Lint of a release plan (PS6xx): what would keep it from finishing, found before anything is spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from promptship.prompts.lint.finding import LintFinding, Rule
from promptship.release.plan import Plan, Stage
from promptship.release.policy import comparable

LOOKS_PER_LEASE_MIN: Final = 3
"""A lease must survive two lost looks: otherwise one slow look already gives the canary's traffic back."""
HIGH_RISK_APPROVERS: Final = 2
"""Who have to agree before a prompt of high risk gets its first traffic; more when the plan wants more."""
_FEEDBACK: Final = "feedback:"


def _rule(number: int, name: str, summary: str, *, warning: bool = False) -> Rule:
    return Rule(id=f"PS{number}", name=name, severity="warning" if warning else "error", summary=summary)


INVALID_PLAN = _rule(
    601, "invalid-plan", "The prompt's `release:` block or the plan it names cannot be read."
)
UNKNOWN_SUITE = _rule(
    602, "unknown-suite", "The plan's suite does not exist: there would be nothing to compare."
)
DWELL_OVER_CAP = _rule(603, "dwell-over-cap", "A stage must last longer than it may: it can never advance.")
SHARES_NOT_RISING = _rule(
    604, "shares-not-rising", "A stage gives the candidate no more traffic than the one before."
)
UNMEASURED_GUARDRAIL = _rule(
    605,
    "unmeasured-guardrail",
    "A guardrail is on feedback or a score that nobody gives: it is not measured, so no stage advances.",
)
NOTHING_TO_PROVE = _rule(
    606,
    "nothing-to-prove",
    "Every guardrail says `prove = false`: the canary would advance without evidence.",
)
DUPLICATE_GUARDRAIL = _rule(607, "duplicate-guardrail", "Two guardrails have the same metric.")
SHORT_LEASE = _rule(
    608,
    "short-lease",
    "The lease is shorter than three looks: one late look would take the canary's traffic away.",
)
MATURES_AFTER_CAP = _rule(
    609,
    "matures-after-cap",
    "A guardrail's requests count only when a stage is already over: it sees nothing.",
)
TOO_FEW_APPROVERS = _rule(
    610, "too-few-approvers", "The plan asks for more approvals than there are approvers."
)
NO_APPROVER = _rule(
    611, "no-approver", "The plan asks for approval and no approver is configured: it can only expire."
)
FULL_SHARE_EARLY = _rule(
    612,
    "full-share-early",
    "A stage before the last has share 1.0: stable serves nobody, so nothing can be compared.",
)
TOO_LITTLE_TRAFFIC = _rule(
    613,
    "too-little-traffic",
    "At the known traffic a stage cannot see `requests_min` before its cap.",
    warning=True,
)
NOBODY_ELIGIBLE = _rule(
    614, "nobody-eligible", "The experiment excludes everybody it is for: its canary would have no traffic."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    plan: Plan
    path: str
    line: int
    prompt: str
    suites: Collection[str]
    feedback_kinds: Collection[str]
    approvers: int
    watcher_every_s: float
    traffic_per_s: float | None
    risk: str

    @property
    def approvals(self) -> tuple[int, str]:
        """How many approvers the release needs at most at one time, and why it is more than the plan says (else empty)."""
        required = self.plan.approval.required
        if self.risk == "high" and required < HIGH_RISK_APPROVERS:
            return HIGH_RISK_APPROVERS, " for the first traffic of a high risk"
        if required == 0 and not self.plan.experiment.allowed:
            return 1, " where no experiment is allowed"
        return required, ""

    @property
    def compared(self) -> list[tuple[int, Stage]]:
        """Stages in which candidate and stable are compared, with their place in the plan."""
        return [(index, stage) for index, stage in enumerate(self.plan.canary.stages) if stage.share < 1]


Problem = tuple[str, str]
"""Message and advice."""


def unknown_suite(subject: _Subject) -> Iterator[Problem]:
    """A suite the plan names, or the one with the prompt's name when it names none."""
    named = subject.plan.regression.suites
    for suite in named or (subject.prompt,):
        if suite not in subject.suites:
            near = get_close_matches(suite, subject.suites, n=1, cutoff=0.6)
            known = ", ".join(sorted(subject.suites)[:10]) or "none"
            advice = f"did you mean `{near[0]}`?" if near else f"suites here: {known}"
            if named:
                yield f"suite `{suite}` does not exist", advice
            else:
                yield f"prompt `{suite}` has no suite: its plan names none and none has its name", advice


def dwell_over_cap(subject: _Subject) -> Iterator[Problem]:
    """Shortest time above the longest."""
    for index, stage in enumerate(subject.plan.canary.stages):
        if stage.dwell > stage.cap:
            message = f"stage {index + 1} must dwell {_time(stage.dwell)} but is capped at {_time(stage.cap)}"
            yield message, "make `cap` at least `dwell`, better several times as long"


def shares_not_rising(subject: _Subject) -> Iterator[Problem]:
    """Each share must be larger than the one before; what follows a share of 1.0 is `full-share-early`."""
    shares = [stage.share for stage in subject.plan.canary.stages]
    for index in range(1, len(shares)):
        if shares[index] <= shares[index - 1] < 1:
            message = f"stage {index + 1} has share {shares[index]:g}, not more than stage {index} ({shares[index - 1]:g})"
            yield message, "order the stages by rising share"


def unmeasured_guardrail(subject: _Subject) -> Iterator[Problem]:
    """The gateway measures errors, refusals, latency and amounts; feedback is measured if declared, scores if a check makes them."""
    checks = [check.name for check in subject.plan.online.checks]
    for guardrail in subject.plan.canary.guardrails:
        kind = guardrail.metric.removeprefix(_FEEDBACK)
        if kind != guardrail.metric and kind not in subject.feedback_kinds:
            near = get_close_matches(kind, subject.feedback_kinds, n=1, cutoff=0.6)
            advice = f"did you mean `{_FEEDBACK}{near[0]}`? otherwise " if near else ""
            yield (
                f"nobody measures guardrail `{guardrail.metric}`",
                f"{advice}declare the kind in [telemetry] feedback",
            )
        of, _, name = guardrail.metric.partition(":")
        if of in {"check", "score"} and name not in checks:
            near = get_close_matches(name, checks, n=1, cutoff=0.6)
            advice = f"did you mean `{of}:{near[0]}`? otherwise " if near else ""
            yield (
                f"nobody measures guardrail `{guardrail.metric}`",
                f"{advice}add a check named `{name}` to `online.checks` of the plan",
            )


def nothing_to_prove(subject: _Subject) -> Iterator[Problem]:
    """No guardrail that must be shown to be no worse."""
    if not any(guardrail.prove for guardrail in subject.plan.canary.guardrails):
        yield (
            "no guardrail has to be proven before a stage advances",
            "let at least one guardrail have `prove = true`",
        )


def duplicate_guardrail(subject: _Subject) -> Iterator[Problem]:
    """The same metric twice would spend alpha twice and could contradict itself."""
    for metric, times in Counter(g.metric for g in subject.plan.canary.guardrails).items():
        if times > 1:
            yield f"{times} guardrails have the metric `{metric}`", "keep one of them"


def short_lease(subject: _Subject) -> Iterator[Problem]:
    """The lease against the service's watcher."""
    needed = LOOKS_PER_LEASE_MIN * subject.watcher_every_s
    if subject.plan.canary.lease < needed:
        lease, every = _time(subject.plan.canary.lease), _time(subject.watcher_every_s)
        yield (
            f"the lease of {lease} is too short for a watcher that looks every {every}",
            f"make `canary.lease` at least {_time(needed)}",
        )


def matures_after_cap(subject: _Subject) -> Iterator[Problem]:
    """Maturity against the shortest cap of a stage that compares."""
    caps = [stage.cap for _, stage in subject.compared]
    for guardrail in subject.plan.canary.guardrails if caps else ():
        if guardrail.matures_after >= min(caps):
            message = (
                f"requests count for guardrail `{guardrail.metric}` after {_time(guardrail.matures_after)},"
                f" but a stage is capped at {_time(min(caps))}"
            )
            yield message, "make every `cap` longer than `matures_after`"


def too_few_approvers(subject: _Subject) -> Iterator[Problem]:
    """Some approvers, but not enough."""
    required, why = subject.approvals
    if 0 < subject.approvers < required:
        advice = "add [[approvers]]" if why else "add [[approvers]] or ask for fewer"
        yield f"{required} approvals are required{why}, {subject.approvers} configured", advice


def no_approver(subject: _Subject) -> Iterator[Problem]:
    """Approval required from nobody."""
    required, why = subject.approvals
    if required > 0 and subject.approvers == 0:
        advice = "" if why else ", or set `approval.required = 0`"
        yield (
            f"{required} approval{'s' * (required > 1)} required{why}, but no approver is configured",
            f"add [[approvers]] to promptship.toml{advice}",
        )


def nobody_eligible(subject: _Subject) -> Iterator[Problem]:
    """Every value of a segment is excluded: the canary would have no traffic."""
    policy = subject.plan.experiment
    for name in policy.segments.keys() & policy.exclude.keys():
        out = {comparable(value) for value in policy.exclude[name]}
        if out.issuperset(comparable(value) for value in policy.segments[name]):
            yield (
                f"only some `{name}` are in the experiment, and all of those are excluded",
                "leave one of the rules out",
            )


def full_share_early(subject: _Subject) -> Iterator[Problem]:
    """Only the last stage may give everything to the candidate."""
    for index, stage in enumerate(subject.plan.canary.stages[:-1]):
        if stage.share == 1:
            yield (
                f"stage {index + 1} has share 1.0 and is not the last",
                "leave out the stages after it, or lower it",
            )


def too_little_traffic(subject: _Subject) -> Iterator[Problem]:
    """Candidate requests expected until a stage's cap, with maturity taken off, against `requests_min`."""
    if subject.traffic_per_s is None:
        return
    canary = subject.plan.canary
    wait = max((g.matures_after for g in canary.guardrails if g.prove), default=0.0)
    for index, stage in subject.compared:
        expected = subject.traffic_per_s * stage.share * max(stage.cap - wait, 0)
        if expected < canary.requests_min:
            requests = f"about {expected:,.0f} candidate requests until its cap"
            yield (
                f"stage {index + 1} expects {requests}; it needs {canary.requests_min:,}",
                "raise its `share` or `cap`, or lower `requests_min`",
            )


CHECKS: Final[tuple[tuple[Rule, Callable[[_Subject], Iterator[Problem]]], ...]] = (
    (UNKNOWN_SUITE, unknown_suite),
    (DWELL_OVER_CAP, dwell_over_cap),
    (SHARES_NOT_RISING, shares_not_rising),
    (UNMEASURED_GUARDRAIL, unmeasured_guardrail),
    (NOTHING_TO_PROVE, nothing_to_prove),
    (DUPLICATE_GUARDRAIL, duplicate_guardrail),
    (SHORT_LEASE, short_lease),
    (MATURES_AFTER_CAP, matures_after_cap),
    (TOO_FEW_APPROVERS, too_few_approvers),
    (NO_APPROVER, no_approver),
    (FULL_SHARE_EARLY, full_share_early),
    (TOO_LITTLE_TRAFFIC, too_little_traffic),
    (NOBODY_ELIGIBLE, nobody_eligible),
)
PLAN_RULES: Final[dict[str, Rule]] = {rule.id: rule for rule in (INVALID_PLAN, *(rule for rule, _ in CHECKS))}


def lint_plan(
    plan: Plan,
    *,
    path: str,
    line: int,
    prompt: str,
    suites: Collection[str],
    feedback_kinds: Collection[str],
    approvers: int,
    watcher_every_s: float,
    traffic_per_s: float | None = None,
    risk: str = "low",
) -> tuple[LintFinding, ...]:
    """Every reason why this plan of this prompt cannot finish, all reported at one place.

    Args:
        plan: the plan in force, after merging.
        path: file the findings are reported in, and
        line: where in it.
        prompt: the prompt's name, which is also its suite's when the plan names none.
        suites: names of the suites that exist.
        feedback_kinds: declared kinds of feedback; error rate, refusals and latency are always measured.
        approvers: how many approvers are configured.
        watcher_every_s: seconds between two looks.
        traffic_per_s: the prompt's requests per second; None: not known, then nothing is said about it.
        risk: of the prompt, as its file says.
    """
    subject = _Subject(
        plan=plan,
        path=path,
        line=line,
        prompt=prompt,
        suites=suites,
        feedback_kinds=feedback_kinds,
        approvers=approvers,
        watcher_every_s=watcher_every_s,
        traffic_per_s=traffic_per_s,
        risk=risk,
    )
    return tuple(
        sorted(
            rule.found(path, line, message, advice)
            for rule, check in CHECKS
            for message, advice in check(subject)
        )
    )


def _time(seconds: float) -> str:
    """Seconds the way plans write them, for example `1h30m`."""
    parts = []
    rest = seconds
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count:.0f}{unit}")
    if rest or not parts:
        parts.append(f"{rest:g}s")
    return "".join(parts)

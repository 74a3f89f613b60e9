"""A re-test: one change of a model, every production prompt that it concerns. A fold of its entries in the journal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from promptship.release.model_changes import ChangeKind, ModelChange

Key = tuple[str, str]
"""Name of a prompt and digest of its version."""


class Standing(StrEnum):
    """How the new model does on one prompt."""

    BETTER = "better"  # an improvement is shown
    SAME = "same"  # non-inferiority is shown, an improvement is not
    WORSE = "worse"  # a drop is shown, a blocking case is lost, or the plan's floor is missed
    CANNOT_TELL = (
        "cannot tell"  # too few cases, missing scores, no suite, or a model that does not take the prompt
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """One suite on both models. Rates are 0..1; None: not measured."""

    suite: str
    standing: Standing
    because: str
    cases: int
    trials: int
    """With a score, on the new model."""
    current: float | None
    new: float | None
    difference: float | None = None
    low: float | None = None
    """One-sided lower limit of the difference."""
    margin: float
    unscored: int = 0
    regressed: tuple[str, ...] = ()
    improved: tuple[str, ...] = ()
    """Ids of cases, at most a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One prompt on both models."""

    prompt: str
    version: str
    standing: Standing
    because: str
    suites: tuple[SuiteResult, ...] = ()
    cost_current: float | None = None
    cost_new: float | None = None
    """USD per answer, from the tokens of this re-test and the prices that are known; None: not measured."""
    latency_ms_current: float | None = None
    latency_ms_new: float | None = None
    """Median of answers that came over the wire in this re-test; None: there were none."""
    spent_usd: float | None = None
    """What the re-test of this prompt cost, judges included; None: not known."""

    @property
    def cost_change(self) -> float | None:
        """Relative: 0.2 is 20 % dearer; None: not known."""
        return _change(self.cost_current, self.cost_new)

    @property
    def latency_change(self) -> float | None:
        """Relative: 0.2 is 20 % slower; None: not known."""
        return _change(self.latency_ms_current, self.latency_ms_new)

    def data(self) -> dict[str, Any]:
        """Plain values for the journal."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Of `data`."""
        suites = tuple(
            SuiteResult(
                **{
                    **one, "standing": Standing(one["standing"]), "regressed": tuple(one["regressed"]),
                    "improved": tuple(one["improved"]),
                }
            )
            for one in data["suites"]
        )  # fmt: skip
        return cls(**{**data, "standing": Standing(data["standing"]), "suites": suites})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What became of the wish to change a prompt's model: a branch, or why there is none."""

    prompt: str
    version: str
    branch: str = ""
    commit: str = ""
    pushed_to: str = ""
    why_not: str = ""
    needs: str = ""
    """What has to be done besides merging it."""

    def data(self) -> dict[str, Any]:
        """Plain values for the journal."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retest:
    """Where it stands."""

    change: ModelChange
    opened_at: datetime
    results: Mapping[Key, Result] = field(default_factory=dict)
    proposals: Mapping[Key, Proposal] = field(default_factory=dict)
    told_at: datetime | None = None
    """When its report went out; it is over then."""

    @property
    def id(self) -> str:
        """As in `retest:<id>`."""
        return self.change.id


ASKED, RESULT, PROPOSED, TOLD = "asked", "result", "proposed", "told"


def fold(entries: Iterable[tuple[str, datetime, Mapping[str, Any]]]) -> Retest | None:
    """Of (kind, at, data) in order; None: nobody asked for it."""
    change, opened_at, told_at = None, None, None
    results: dict[Key, Result] = {}
    proposals: dict[Key, Proposal] = {}
    for kind, at, data in entries:
        if kind == ASKED and change is None:
            change, opened_at = ModelChange.of(data), at
        elif kind == RESULT:
            one = Result.of(data)
            results[one.prompt, one.version] = one
        elif kind == PROPOSED:
            proposal = Proposal(**data)
            proposals[proposal.prompt, proposal.version] = proposal
        elif kind == TOLD:
            told_at = at
    if change is None or opened_at is None:
        return None
    return Retest(change=change, opened_at=opened_at, results=results, proposals=proposals, told_at=told_at)


def worth_proposing(change: ModelChange, result: Result) -> str:
    """Why the model should not be changed; empty: it should.

    Better is worth it. The same is worth it when the old one goes, or when nobody knows that it costs more. After a move the question is
    whether to go back to what answered before: only when that is better.
    """
    if result.standing is Standing.BETTER:
        return ""
    if result.standing is not Standing.SAME:
        return f"the re-test says {result.standing}"
    if change.kind is ChangeKind.MOVED:
        return "what answers now is as good as what answered before"
    dearer = result.cost_change is not None and result.cost_change > 0
    return "it is the same, and costs more" if dearer and change.kind is ChangeKind.APPEARED else ""


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None or before <= 0 else after / before - 1

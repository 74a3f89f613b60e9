"""A release with the model changed, proposed: a branch with one word of one file changed. Merged, it is a push like any other."""

from __future__ import annotations

import re
from typing import Final

from promptship.errors import ConfigError, Conflict, NotFound
from promptship.lifecycle import model_use
from promptship.lifecycle.app import App
from promptship.lifecycle.opening import find_prompt
from promptship.prompts.change_model import NotEditable, with_model
from promptship.prompts.digest import digest
from promptship.prompts.lint.catalogue import built_in
from promptship.prompts.load import load
from promptship.release.model_changes import ChangeKind, ModelChange
from promptship.release.retest import Proposal, Result, Retest, worth_proposing

PREFIX: Final = "promptship"
_NOT_IN_A_BRANCH: Final = re.compile(r"[^a-z0-9.]+")


def proposal_for(app: App, retest: Retest, result: Result) -> Proposal:
    """Write the branch, when the result is worth it; says why not otherwise. Asked again, it is the same branch.

    Raises:
        Unavailable: the remote does not take it now.
    """
    change = retest.change
    no = Proposal(prompt=result.prompt, version=result.version)
    why_not = worth_proposing(change, result)
    if app.proposals is None or not app.settings.retest.propose:
        why_not = why_not or "proposals are off: [retest] propose"
    if why_not:
        return _because(no, why_not)
    try:
        base = app.repository.resolve(app.settings.repository.branch).id
        path = find_prompt(app, base, result.prompt)
        content = app.repository.tree(base).read(path)
        served = digest(load(path, content).prompt)
    except (NotFound, ConfigError) as error:
        return _because(no, str(error))
    if served != result.version:
        branch = app.settings.repository.branch
        return _because(
            no,
            f"{branch} holds another version of {result.prompt} than production serves: release that first",
        )
    edited = with_model(path, content, change.to)
    if isinstance(edited, NotEditable):
        return _because(no, edited.reason)
    assert app.proposals is not None  # noqa: S101 - said above
    try:
        proposed = app.proposals.propose(
            f"{PREFIX}/{_slug(result.prompt)}-{_slug(change.to)}-{base[:7]}", base=base,
            files={path: edited}, message=_message(retest, result), author=app.settings.retest.author, at=retest.opened_at,
        )  # fmt: skip
    except Conflict as error:
        return _because(no, str(error))
    return Proposal(
        prompt=result.prompt, version=result.version, branch=proposed.branch, commit=proposed.commit,
        pushed_to=proposed.pushed_to, needs=_needs(app, change),
    )  # fmt: skip


def _because(no: Proposal, why_not: str) -> Proposal:
    return Proposal(prompt=no.prompt, version=no.version, why_not=" ".join(why_not.split()))


def _message(retest: Retest, result: Result) -> str:
    change = retest.change
    because = "" if change.kind is ChangeKind.ASKED else f"{change.sentence()}.\n"
    return (
        f"{result.prompt}: model {change.to} instead of {change.model}\n\n"
        f"{because}Re-test {retest.id} on {result.version[:12]} says {result.standing}: {result.because}\n"
    )


def _needs(app: App, change: ModelChange) -> str:
    """Lint refuses a model that nobody knows, and an unknown one goes to the first provider."""
    known = built_in().with_models(app.settings.models).find(change.to) is not None
    if known and model_use.provider_of(app.settings, change.to) == change.provider:
        return ""
    return f'add [models."{change.to}"] with provider = "{change.provider}" to promptship.toml before it is merged'


def _slug(text: str) -> str:
    return _NOT_IN_A_BRANCH.sub("-", text.lower()).strip("-.").replace("..", ".")

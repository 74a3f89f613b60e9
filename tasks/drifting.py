"""Silent drift, without Prefect: probes of models, and re-tests of prompts on the model that nobody changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import exp
from typing import Final

from promptship.errors import PromptshipError, Unavailable
from promptship.evals.budget import refuse_unpriced
from promptship.evals.calls import BUDGET_SPENT
from promptship.evals.drift import Drift, after_look
from promptship.evals.judges.settling import native_settle
from promptship.evals.probes import Probing, after_round, ask_round
from promptship.evals.regression import equipped
from promptship.evals.row_log import RowLog, read_rows
from promptship.evals.rows import Row
from promptship.evals.score import Unscored
from promptship.evals.suite_run import raise_if_lost, run_suite
from promptship.lifecycle import model_use
from promptship.lifecycle.app import App
from promptship.lifecycle.model_use import Used
from promptship.lifecycle.models_seen import Notice, note_answer, tell_of_drift
from promptship.numbers import evidence, percent
from promptship.ports import Entry
from promptship.tasks.retesting import Examined, examined

TOPIC: Final = "drift:"
LOOK, PROBED, UNPROBED, DRIFTED = "look", "probed", "unprobed", "drifted"
_ANSWERERS_MAX: Final = 20


def probe(app: App, *, anyway: bool = False) -> tuple[list[Notice], list[PromptshipError]]:
    """Ask every model in use the probes, as often as the settings say (`anyway`: now). What went wrong with some keeps no other."""
    notices: list[Notice] = []
    problems: list[PromptshipError] = []
    for one in model_use.in_use(app):
        if not one.provider or not (anyway or _probe_is_due(app, one)):
            continue
        try:
            notices += asyncio.run(_probed(app, one))
        except PromptshipError as error:
            problems.append(error)
            if not isinstance(error, Unavailable):  # asking again in an hour would say the same
                model_use.note(app, one, UNPROBED, {"because": type(error).__name__})
    return notices, problems


def _probe_is_due(app: App, one: Used) -> bool:
    if not app.settings.retest.probes:
        return False
    topic = model_use.topic_of(one.provider, one.model)
    last = [
        *app.journal.entries(topic, kind=PROBED, limit=1),
        *app.journal.entries(topic, kind=UNPROBED, limit=1),
    ]
    every = timedelta(seconds=app.settings.retest.probe_every)
    return all(entry.at + every <= app.clock.now() for entry in last)


async def _probed(app: App, one: Used) -> list[Notice]:
    topic = model_use.topic_of(one.provider, one.model)
    last = app.journal.entries(topic, kind=PROBED, limit=1)
    before = Probing.of(last[0].data["state"]) if last and not last[0].data["drifted"] else Probing()
    try:
        kinds, answers = await ask_round(app.models, one.model)
    finally:
        await app.models.aclose()
    after = after_round(before, kinds, salt=topic)
    drifted = after.evidence.shows(app.settings.retest.alpha)
    notices = _answerers(app, one, [(answer.model, answer.fingerprint) for answer in answers])
    if drifted:
        text = (
            f"{one.model} at {one.provider} answers probes out of another distribution than before (evidence "
            f"{evidence(_e(after.evidence.peak))} after {after.rounds} rounds); its prompts are re-tested"
        )
        notices.append(tell_of_drift(app, one, text, {"rounds": after.rounds}))
        model_use.note(app, one, DRIFTED, {"rounds": after.rounds})
    model_use.note(app, one, PROBED, {"state": after.data(), "drifted": drifted})
    return notices


def _answerers(app: App, one: Used, said: Sequence[tuple[str, str]]) -> list[Notice]:
    found = [
        note_answer(app, one, model=model, fingerprint=fingerprint)
        for model, fingerprint in list(dict.fromkeys(said))[:_ANSWERERS_MAX]
    ]
    return [notice for notice in found if notice is not None]


def drift_due(app: App) -> list[tuple[Used, str, str]]:
    """(model, prompt, version) of prompts whose next look has come: by the calendar, or because something was seen of the model."""
    every = timedelta(seconds=app.settings.retest.every)
    if not every:
        return []
    return [
        (one, prompt, version)
        for one in model_use.in_use(app)
        for prompt, version in one.prompts
        if _look_is_due(app, one, prompt, version, every)
    ]


def _look_is_due(app: App, one: Used, prompt: str, version: str, every: timedelta) -> bool:
    last = _last(app, prompt)
    if last is None or _state(last, one, version).looks == 0:
        return True
    return last.at + every <= app.clock.now() or _signal_since(app, one, last.at)


def _signal_since(app: App, one: Used, at: datetime) -> bool:
    """Somebody new answers, or the probes have noticed something."""
    topic = model_use.topic_of(one.provider, one.model)
    kinds = (model_use.ANSWERED, DRIFTED)
    return any(entry.at > at for kind in kinds for entry in app.journal.entries(topic, kind=kind, limit=1))


def look_for_drift(app: App, one: Used, prompt: str, version: str) -> list[Notice]:
    """One look at a prompt: its suites as production asks them, paired with all looks before. Killed, it goes on where it was.

    Raises:
        Unavailable: a provider is down; what was answered is kept for the next try.
        ConfigError, NotFound, Refused: it has no suite, or cannot be asked.
        Conflict: another process took the same look.
    """
    last = _last(app, prompt)
    seq = -1 if last is None else app.journal.entries(TOPIC + prompt, limit=1)[0].seq
    before = Drift(version=version, model=one.model) if last is None else _state(last, one, version)
    work = examined(app, f"drift-{prompt}-{seq + 1}", prompt, version, trials=app.settings.retest.trials)
    rows = asyncio.run(_asked(app, work))
    after = after_look(before, rows, salt=prompt)
    if after.looks == before.looks:
        raise Unavailable(f"no trial of prompt {prompt} has a score")
    drifted = after.evidence.shows(app.settings.retest.alpha)
    notices = _answerers(app, one, [(row.model, row.fingerprint) for _, row in rows if not row.cached])
    if drifted:
        notices.append(tell_of_drift(app, one, _said(prompt, after), {"prompt": prompt, "version": version}))
    data = {"state": after.data(), "drifted": drifted}
    app.journal.keep(TOPIC + prompt, LOOK, data, actor="retest", at=app.clock.now(), expected_seq=seq)
    return notices


async def _asked(app: App, work: Examined) -> list[tuple[str, Row]]:
    """Rows of all suites, each with its case's name and content. No kept answer is taken: the question is what comes today."""
    arms = {"candidate": work.prompt}
    limit = app.settings.retest.spend_max_usd
    refuse_unpriced(work.suites, arms, app.settings, spend_max_usd=limit)
    rows: list[tuple[str, Row]] = []
    try:
        async with equipped(app.settings, models=app.models, cache=False, spend_max_usd=limit) as means:
            for suite in work.suites:
                path = work.directory / f"{suite.name}.jsonl"
                with RowLog(path) as log:
                    _, ran = await run_suite(
                        suite, arms, means, trials=work.rules.trials, finished=read_rows(path), on_row=log.add,
                        settle=native_settle(suite),
                    )  # fmt: skip
                raise_if_lost(ran)
                missing = [row.score.reason for row in ran.rows if isinstance(row.score, Unscored)]
                # Which trials a budget leaves out does not hang on their answers: the others may be judged without them.
                if len(missing) > work.rules.unscored_max * len(ran.rows) and BUDGET_SPENT not in missing:
                    raise Unavailable(
                        f"suite {suite.name}: {len(missing)} of {len(ran.rows)} trials have no score"
                    )
                names = {case.id: f"{suite.name}/{case.id}@{case.digest[:8]}" for case in suite.cases}
                rows += [(names[row.case], row) for row in ran.rows]
    finally:
        await app.models.aclose()
    return rows


def _last(app: App, prompt: str) -> Entry | None:
    entries = app.journal.entries(TOPIC + prompt, kind=LOOK, limit=1)
    return entries[0] if entries else None


def _state(last: Entry, one: Used, version: str) -> Drift:
    """What is known; nothing of another version or model, or of the time before an alarm: what is now is the new baseline."""
    state = Drift.of(last.data["state"])
    same = (state.version, state.model) == (version, one.model) and not last.data["drifted"]
    return state if same else Drift(version=version, model=one.model)


def _said(prompt: str, state: Drift) -> str:
    before = state.passed_before / state.trials_before if state.trials_before else None
    now = state.passed / state.trials if state.trials else None
    return (
        f"{prompt} has become worse on {state.model} although nobody changed either: {percent(before)} of trials passed before, "
        f"{percent(now)} now (evidence {evidence(_e(state.evidence.peak))} over {state.looks} looks)"
    )


def _e(log_e: float) -> float:
    return exp(min(log_e, 700.0))

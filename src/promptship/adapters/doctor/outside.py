"""What others run: Slack, the models' providers, GitHub and GitLab."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

import httpx

from promptship.adapters.doctor.found import Found, down, fail, ok, warn
from promptship.adapters.hooks import is_loopback
from promptship.adapters.providers import HttpModels
from promptship.chat import ChatRequest
from promptship.errors import PromptshipError, Unavailable
from promptship.settings import Settings

TIMEOUT_S: Final = 8.0


def people(settings: Settings, env: Mapping[str, str]) -> Iterator[Found]:
    """Somebody may approve, and is asked."""
    if settings.approvers_max == 0:
        yield warn("approvers", "nobody may approve", "add [[approvers]]: a release that asks fails")
    else:
        yield ok("approvers", f"{settings.approvers_max} at most")
    yield from slack(settings, env)


def slack(settings: Settings, env: Mapping[str, str]) -> Iterator[Found]:
    """Token (auth.test) and signing secret; nothing where Slack is not configured."""
    place = settings.slack
    if not place.channel:
        return
    token = env.get(place.token_env, "")
    if not token:
        yield fail("Slack", f"{place.token_env} is not set", "put the bot token (xoxb-...) there")
        return
    if not env.get(place.signing_secret_env) and not env.get(place.app_token_env):
        advice = (
            "put the app's signing secret there, for the control plane: clicks are refused without it; "
            f"or, for Socket Mode, the app-level token (xapp-...) into {place.app_token_env}"
        )
        yield fail("Slack's secret", f"{place.signing_secret_env} is not set", advice)
    try:
        said = httpx.post(
            f"{place.base_url.rstrip('/')}/auth.test",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            trust_env=not is_loopback(place.base_url),
        ).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        yield down(
            "Slack", f"does not answer ({type(error).__name__})", "releases wait; `promptship approve` works"
        )
        return
    if isinstance(said, dict) and said.get("ok") is True:
        yield ok(
            "Slack", f"signed in as {said.get('user', 'the app')} of {said.get('team', 'the workspace')}"
        )
    else:
        why = said.get("error", "no reason") if isinstance(said, dict) else "no reason"
        yield fail(
            "Slack",
            f"does not accept the token: {why}",
            f"install the app again, and renew {place.token_env}",
        )


def providers(settings: Settings, env: Mapping[str, str], *, call: bool) -> Iterator[Found]:
    """Keys are there; `call`: one word is asked of one model of each."""
    if not settings.providers:
        yield warn("providers", "none is configured", "add [providers]: suites and gateway need a model")
    for name, provider in settings.providers.items():
        part = f"provider {name}"
        wanted = provider.api_key_env
        if wanted and not env.get(wanted):
            yield fail(part, f"{wanted} is not set", f"put the key of {name} into {wanted}")
            continue
        model = _model_of(settings, name)
        if not call or model is None:
            note = "" if model else "; no model of it is in [models]"
            yield ok(part, ("its key is set" if wanted else "needs no key") + note)
            continue
        yield _called(settings, env, part, model)


def _called(settings: Settings, env: Mapping[str, str], part: str, model: str) -> Found:
    request = ChatRequest(
        model=model, messages=({"role": "user", "content": "Say ok."},), parameters={"max_tokens": 16}
    )

    async def ask() -> str:
        models = HttpModels(settings.providers, settings.models, env)
        try:
            answer = await models.complete(request)
        finally:
            await models.aclose()
        return f"{model} answered in {answer.latency_ms:,.0f} ms"

    try:
        return ok(part, asyncio.run(ask()))
    except Unavailable as error:
        return down(part, str(error), "see the provider's status page, and its base_url")
    except PromptshipError as error:
        return fail(part, str(error), "renew its key, or correct [providers] and [models]")


def _model_of(settings: Settings, provider: str) -> str | None:
    """A model of it that is known by name."""
    first = next(iter(settings.providers))
    known = (name for name, model in settings.models.items() if (model.provider or first) == provider)
    return next(known, None)


def hosts(settings: Settings, env: Mapping[str, str]) -> Iterator[Found]:
    """Tokens of GitHub and GitLab, where pull or merge requests are reviewed."""
    github, gitlab = settings.github, settings.gitlab
    if github.repository and not github.app_id:
        token = env.get(github.token_env, "")
        url = f"{github.api_url.rstrip('/')}/repos/{github.repository}"
        yield from _host("GitHub", github.token_env, token, url, {"Authorization": f"Bearer {token}"})
    elif github.repository:
        known = bool(env.get(github.app_key_env))
        advice = "put the app's private key (PEM) there"
        yield (
            ok("GitHub", f"app {github.app_id}")
            if known
            else fail("GitHub", f"{github.app_key_env} is not set", advice)
        )
    if github.repository and not env.get(github.webhook_secret_env):
        yield fail(
            "GitHub's hook",
            f"{github.webhook_secret_env} is not set",
            "hooks are refused: put the webhook's secret there",
        )
    if gitlab.project:
        token = env.get(gitlab.token_env, "")
        url = f"{gitlab.api_url.rstrip('/')}/projects/{gitlab.project.replace('/', '%2F')}"
        yield from _host("GitLab", gitlab.token_env, token, url, {"PRIVATE-TOKEN": token})
        if not env.get(gitlab.webhook_token_env) and not env.get(gitlab.signing_key_env):
            said = f"neither {gitlab.webhook_token_env} nor {gitlab.signing_key_env} is set"
            yield fail("GitLab's hook", said, "hooks are refused: put the webhook's secret there")


def _host(part: str, variable: str, token: str, url: str, headers: Mapping[str, str]) -> Iterator[Found]:
    if not token:
        yield fail(
            part,
            f"{variable} is not set",
            "put a token there that may read the repository and write statuses",
        )
        return
    try:
        status = httpx.get(
            url, headers=headers, timeout=TIMEOUT_S, trust_env=not is_loopback(url)
        ).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield down(part, f"does not answer ({type(error).__name__})", "reviews wait; pushes are not affected")
        return
    if status == httpx.codes.OK:
        yield ok(part, "the token opens the repository")
    else:
        yield fail(
            part,
            f"answers {status} for the repository",
            f"renew {variable}, or correct the repository's name",
        )

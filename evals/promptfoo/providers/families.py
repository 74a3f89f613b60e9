"""Providers that speak OpenAI's words: where they are, where their key is, and what they do differently. One table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from promptship.adapters.providers.dialects import (
    AZURE_CHAT,
    AZURE_COMPLETIONS,
    AZURE_RESPONSES,
    CHAT,
    COMPLETIONS,
    RESPONSES,
)
from promptship.evals.promptfoo.model import Provider, ProviderSpec
from promptship.evals.promptfoo.providers.base import Caller, Tools, first, no_key, secret, target_for, wrong
from promptship.evals.promptfoo.providers.openai import (
    ChatProvider,
    CompletionProvider,
    Habits,
    ResponsesProvider,
)

OPENAI_KEY: Final = "OPENAI_API_KEY"
OPENAI_URL: Final = "https://api.openai.com/v1"
OPENAI_CHAT_MODEL: Final = "gpt-5.6-terra"
AZURE_KEYS: Final = ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY")
_BARE: Final = Habits(max_tokens=None, temperature=None)
_COMPLETION: Final = Habits(
    top_p=1, presence_penalty=0, frequency_penalty=0, best_of=1, stop=("<|im_end|>", "<|endoftext|>")
)
_AZURE: Final = Habits(
    top_p=1, presence_penalty=0, frequency_penalty=0, more=("max_completion_tokens", "dataSources")
)
_AZURE_COMPLETION: Final = Habits(top_p=1, presence_penalty=0, frequency_penalty=0, best_of=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One prefix of ids."""

    url: str
    """Empty: the configuration must say."""
    keys: tuple[str, ...] = ()
    """Variables with the key; empty: none is needed."""
    url_envs: tuple[str, ...] = ()
    habits: Habits = field(default_factory=Habits)
    forms: tuple[str, ...] = ("chat", "completion")
    """Parts of the id between prefix and model that name a form."""
    shown: str = ""
    """The id in results, with `{model}`; empty: as configured."""
    always: bool = False
    """Also when more than the id is configured."""


FAMILIES: Final[Mapping[str, Family]] = {
    "abliteration": Family(
        url="https://api.abliteration.ai/v1", keys=("ABLIT_KEY", "ABLITERATION_API_KEY"),
        url_envs=("ABLIT_API_BASE_URL", "ABLITERATION_API_BASE_URL"),
    ),
    "ai21": Family(url="https://api.ai21.com/studio/v1", keys=("AI21_API_KEY",), url_envs=("AI21_API_BASE_URL",)),
    "aimlapi": Family(url="https://api.aimlapi.com/v1", keys=("AIML_API_KEY",), shown="{model}"),
    "alibaba": Family(
        url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1", keys=("DASHSCOPE_API_KEY",),
        habits=Habits(more=("enable_thinking", "thinking_budget", "enable_search")), shown="{model}",
    ),
    "atlascloud": Family(url="https://api.atlascloud.ai/v1", keys=("ATLASCLOUD_API_KEY",)),
    "cerebras": Family(
        url="https://api.cerebras.ai/v1", keys=("CEREBRAS_API_KEY",), habits=Habits(more=("max_completion_tokens",)), shown="{model}",
        always=True,
    ),
    "cometapi": Family(url="https://api.cometapi.com/v1", keys=("COMETAPI_KEY",), shown="{model}"),
    "deepseek": Family(url="https://api.deepseek.com/v1", keys=("DEEPSEEK_API_KEY",)),
    "docker": Family(
        url="http://localhost:12434/engines/v1", keys=(), url_envs=("DOCKER_MODEL_RUNNER_BASE_URL",), shown="{model}"
    ),
    "envoy": Family(url="", keys=(), url_envs=("ENVOY_API_BASE_URL",), shown="{model}", always=True),
    "fireworks": Family(url="https://api.fireworks.ai/inference/v1", keys=("FIREWORKS_API_KEY",)),
    "groq": Family(
        url="https://api.groq.com/openai/v1", keys=("GROQ_API_KEY",), url_envs=("GROQ_API_BASE_URL",),
        habits=Habits(
            unbounded=("gpt-oss", "deepseek-r1", "qwen"),
            thinks=False, more=("reasoning_effort", "reasoning_format", "include_reasoning", "compound_custom", "search_settings"),
        ),
    ),
    "huggingface:chat": Family(
        url="https://router.huggingface.co/v1", keys=("HF_TOKEN", "HF_API_TOKEN"), url_envs=("HF_CHAT_API_BASE_URL",), forms=()
    ),
    "hyperbolic": Family(url="https://api.hyperbolic.xyz/v1", keys=("HYPERBOLIC_API_KEY",)),
    "litellm": Family(
        url="http://0.0.0.0:4000", keys=(), url_envs=("LITELLM_API_BASE", "LITELLM_BASE_URL"), habits=_BARE
    ),
    "llamaapi": Family(url="https://api.llama.com/compat/v1", keys=("LLAMA_API_KEY",), shown="llamaapi:{model}", always=True),
    "lmstudio": Family(url="http://localhost:1234/v1", keys=()),
    "localai": Family(
        url="http://localhost:8080/v1", keys=(), url_envs=("LOCALAI_BASE_URL",),
        habits=Habits(max_tokens=None, temperature=0.7), shown="localai:{model}",
    ),
    "minimax": Family(url="https://api.minimax.io/v1", keys=("MINIMAX_API_KEY",), url_envs=("MINIMAX_API_BASE_URL",)),
    "mistral": Family(
        url="https://api.mistral.ai/v1", keys=("MISTRAL_API_KEY",), url_envs=("MISTRAL_API_BASE_URL",),
        habits=Habits(temperature=None, top_p=1, thinks=False, more=("safe_prompt", "random_seed", "n", "prediction", "parallel_tool_calls")),
    ),
    "moonshot": Family(url="https://api.moonshot.ai/v1", keys=("MOONSHOT_API_KEY",), url_envs=("MOONSHOT_API_BASE_URL",)),
    "novita": Family(url="https://api.novita.ai/openai/v1", keys=("NOVITA_API_KEY",), shown="novita:chat:{model}"),
    "nscale": Family(url="https://inference.api.nscale.com/v1", keys=("NSCALE_SERVICE_TOKEN", "NSCALE_API_KEY"), shown="{model}", always=True),
    "nvidia": Family(url="https://integrate.api.nvidia.com/v1", keys=("NVIDIA_API_KEY",)),
    "openrouter": Family(
        url="https://openrouter.ai/api/v1", keys=("OPENROUTER_API_KEY",),
        habits=Habits(more=("transforms", "models", "route", "provider", "plugins")),
    ),
    "orcarouter": Family(url="https://api.orcarouter.ai/v1", keys=("ORCAROUTER_API_KEY",)),
    "perplexity": Family(
        url="https://api.perplexity.ai", keys=("PERPLEXITY_API_KEY",),
        habits=Habits(more=(
            "search_domain_filter", "search_recency_filter", "return_related_questions", "return_images", "search_mode",
            "web_search_options", "search_after_date_filter", "search_before_date_filter",
        )),
        shown="{model}", always=True,
    ),
    "together": Family(url="https://api.together.xyz/v1", keys=("TOGETHER_API_KEY",), shown="{model}"),
    "togetherai": Family(url="https://api.together.xyz/v1", keys=("TOGETHER_API_KEY",), shown="{model}"),
    "truefoundry": Family(url="https://llm-gateway.truefoundry.com", keys=("TRUEFOUNDRY_API_KEY",)),
    "vllm": Family(url="http://localhost:8000/v1", keys=()),
    "xai": Family(
        url="https://api.x.ai/v1", keys=("XAI_API_KEY",), url_envs=("XAI_API_BASE_URL",),
        habits=Habits(more=("search_parameters", "reasoning_effort")),
    ),
}  # fmt: skip
"""By prefix; vllm and lmstudio are no prefixes of promptfoo's."""

ALIASES: Final = {
    "alicloud": "alibaba",
    "aliyun": "alibaba",
    "dashscope": "alibaba",
    "hf:chat": "huggingface:chat",
}


def family_of(id_: str) -> tuple[str, Family] | None:
    """The family of an id, with the id's prefix; None: it belongs to none."""
    for prefix in sorted((*FAMILIES, *ALIASES), key=len, reverse=True):
        if id_.startswith(f"{prefix}:"):
            return prefix, FAMILIES[ALIASES.get(prefix, prefix)]
    return None


def make_family(spec: ProviderSpec, tools: Tools, prefix: str, family: Family) -> Provider:
    """A provider of one of the families. Raises ConfigError: no model, no key, no address."""
    model = spec.id[len(prefix) + 1 :]
    form, _, tail = model.partition(":")
    if form in family.forms and tail:
        model = tail
    elif form in {"embedding", "embeddings", "image", "audio", "tts", "video", "responses", "voice"}:
        raise wrong(
            spec, "", repr(spec.id), f"expected {prefix}:<model> that answers in text", "name a chat model"
        )
    else:
        form = "chat"
    if not model:
        raise wrong(spec, "", repr(spec.id), f"expected {prefix}:<model>", "name a model")
    caller = family_caller(spec, tools, family)
    own = family.shown.format(model=model) or spec.id
    shown = own if family.always else spec.shown(own)
    if form == "completion":
        return CompletionProvider(
            spec=spec, id=shown, model=model, dialect=COMPLETIONS, caller=caller, habits=_BARE
        )
    return ChatProvider(spec=spec, id=shown, model=model, dialect=CHAT, caller=caller, habits=family.habits)


def family_caller(spec: ProviderSpec, tools: Tools, family: Family) -> Caller:
    """Of one of the families. Raises ConfigError: no key, no address."""
    address = address_of(spec, tools.env, *family.url_envs) or family.url
    if not address:
        raise wrong(
            spec,
            "config.apiBaseUrl",
            "missing",
            f"expected an address, there or in {' or '.join(family.url_envs)}",
        )
    key = secret(spec, tools.env, *family.keys)
    if not key and family.keys:
        raise no_key(spec, *family.keys)
    headers = [("authorization", f"Bearer {key}")] if key else []
    target = target_for(spec, tools, address, headers=headers, envars=family.keys)
    return Caller(spec=spec, tools=tools, target=target, prices_listed=False)


def address_of(spec: ProviderSpec, env: Mapping[str, str], *names: str) -> str:
    """`apiBaseUrl`, or `https://` and `apiHost` and `/v1`, or the first of the variables that is set; empty: none is."""
    config = spec.config
    if config.get("apiBaseUrl"):
        return str(config["apiBaseUrl"])
    if config.get("apiHost"):
        return f"https://{config['apiHost']}/v1"
    return next((env[name] for name in names if env.get(name)), "")


def openai_caller(spec: ProviderSpec, tools: Tools) -> Caller:
    """Of OpenAI itself, or of what `apiBaseUrl` and `OPENAI_BASE_URL` name. Raises ConfigError: no key, unless the address is local."""
    env = tools.env
    host = env.get("OPENAI_API_HOST", "")
    address = (
        address_of(spec, env, "OPENAI_API_BASE_URL", "OPENAI_BASE_URL") if spec.config.get("apiBaseUrl") or spec.config.get("apiHost")
        else (f"https://{host}/v1" if host else address_of(spec, env, "OPENAI_API_BASE_URL", "OPENAI_BASE_URL"))
    ) or OPENAI_URL  # fmt: skip
    key = secret(spec, env, OPENAI_KEY)
    if not key and spec.config.get("apiKeyRequired") is not False:
        raise no_key(spec, OPENAI_KEY)
    headers = [("authorization", f"Bearer {key}")] if key else []
    organization = first(spec.config.get("organization"), env.get("OPENAI_ORGANIZATION") or None)
    if organization:
        headers.append(("openai-organization", str(organization)))
    target = target_for(spec, tools, address, headers=headers, envars=(OPENAI_KEY,))
    return Caller(spec=spec, tools=tools, target=target)


def make_openai(spec: ProviderSpec, tools: Tools) -> Provider:
    """The provider of an `openai:` id. Raises ConfigError: no key; a form that is no text."""
    form, _, tail = spec.id.removeprefix("openai:").partition(":")
    if form in _NOT_TEXT:
        raise wrong(
            spec,
            "",
            repr(spec.id),
            "expected openai:chat:, openai:completion: or openai:responses:<model>",
            _NOT_TEXT[form],
        )
    caller = openai_caller(spec, tools)
    if form == "responses":
        model = tail or OPENAI_CHAT_MODEL
        return ResponsesProvider(
            spec=spec, id=spec.shown(f"openai:{model}"), model=model, dialect=RESPONSES, caller=caller
        )
    if form == "completion" or (form != "chat" and form in _COMPLETION_MODELS):
        model = (tail if form == "completion" else form) or "gpt-3.5-turbo-instruct"
        return CompletionProvider(
            spec=spec,
            id=spec.shown(f"openai:{model}"),
            model=model,
            dialect=COMPLETIONS,
            caller=caller,
            habits=_COMPLETION,
        )
    model = tail or OPENAI_CHAT_MODEL if form == "chat" else spec.id.removeprefix("openai:")
    return ChatProvider(spec=spec, id=spec.shown(f"openai:{model}"), model=model, dialect=CHAT, caller=caller)


_NOT_TEXT: Final = {
    **dict.fromkeys(("embedding", "embeddings", "moderation"), "it can grade, but answers no prompt"),
    **dict.fromkeys(
        ("image", "video", "tts", "transcription", "realtime", "live", "speech", "audio"), "sound and pictures cannot be run here"
    ),
    **dict.fromkeys(("agents", "assistant", "chatkit", "codex-sdk", "codex-app-server", "codex-security"), "agents run in promptfoo's own process: wrap yours in file://provider.py"),
}  # fmt: skip
_COMPLETION_MODELS: Final = frozenset(
    {"gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct-0914", "davinci-002", "babbage-002"}
)


def make_azure(spec: ProviderSpec, tools: Tools) -> Provider:
    """The provider of an `azure:` or `azureopenai:` id. Raises ConfigError: no key, no address, a form that is no text."""
    _, form, *rest = [*spec.id.split(":"), ""]
    deployment = ":".join(part for part in rest if part)
    if form not in {"chat", "completion", "responses"}:
        if (
            form
            in {
                "embedding",
                "embeddings",
                "moderation",
                "assistant",
                "foundry-agent",
                "image",
                "video",
                "audio",
            }
            or not form
        ):
            raise wrong(
                spec,
                "",
                repr(spec.id),
                "expected azure:chat:, azure:completion: or azure:responses:<deployment>",
            )
        form, deployment = "chat", ":".join(part for part in (form, deployment) if part)
    caller = azure_caller(spec, tools)
    if not deployment:
        raise wrong(spec, "", repr(spec.id), f"expected azure:{form}:<deployment>", "name a deployment")
    shown = spec.shown(f"azure:{deployment}")
    if form == "responses":
        return ResponsesProvider(
            spec=spec, id=shown, model=deployment, dialect=AZURE_RESPONSES, caller=caller
        )
    if form == "completion":
        return CompletionProvider(
            spec=spec,
            id=shown,
            model=deployment,
            dialect=AZURE_COMPLETIONS,
            caller=caller,
            habits=_AZURE_COMPLETION,
        )
    return ChatProvider(
        spec=spec, id=shown, model=deployment, dialect=AZURE_CHAT, caller=caller, habits=_AZURE
    )


def azure_caller(spec: ProviderSpec, tools: Tools) -> Caller:
    """Of a resource of Azure OpenAI. Raises ConfigError: no key, no address."""
    env, config = tools.env, spec.config
    key = secret(spec, env, *AZURE_KEYS)
    if not key:
        raise no_key(spec, *AZURE_KEYS)
    urls = ("AZURE_API_BASE_URL", "AZURE_OPENAI_API_BASE_URL", "AZURE_OPENAI_BASE_URL")
    hosts = ("AZURE_API_HOST", "AZURE_OPENAI_API_HOST")
    host = first(config.get("apiHost"), next((env[name] for name in hosts if env.get(name)), None))
    address = first(config.get("apiBaseUrl"), f"https://{quote(str(host).removeprefix('https://'), safe='/:.-')}" if host else None,
                    next((env[name] for name in urls if env.get(name)), None))  # fmt: skip
    if not address:
        raise wrong(
            spec,
            "config.apiHost",
            "missing",
            "expected the host of the resource, such as name.openai.azure.com",
            "or set AZURE_API_HOST",
        )
    target = target_for(
        spec, tools, str(address), headers=[("api-key", key)], envars=AZURE_KEYS,
        api_version=str(first(config.get("apiVersion"), env.get("AZURE_OPENAI_API_VERSION") or None, "")),
    )  # fmt: skip
    return Caller(spec=spec, tools=tools, target=target, prices_listed=False)

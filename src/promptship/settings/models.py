"""Models, and the work they are asked for."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from promptship.release.duration import Duration
from promptship.settings.section import Section, pattern

Kind = Literal["openai", "anthropic", "azure", "gemini", "bedrock"]
_USUAL: Final[dict[str, dict[str, str]]] = {
    "anthropic": {"base_url": "https://api.anthropic.com", "api_key_env": "ANTHROPIC_API_KEY"},
    "azure": {"api_key_env": "AZURE_OPENAI_API_KEY"},
    "gemini": {"base_url": "https://generativelanguage.googleapis.com", "api_key_env": "GEMINI_API_KEY"},
    "vertex": {
        "base_url": "https://{region}-aiplatform.googleapis.com",
        "api_key_env": "GOOGLE_ACCESS_TOKEN",
        "region": "us-central1",
    },
    "bedrock": {"base_url": "https://bedrock-runtime.{region}.amazonaws.com"},
}
"""What a kind of provider has when the file does not say: addresses, and the variables their vendors use."""
_KINDS_OF: Final = {"api_version": {"azure"}, "project": {"gemini"}, "region": {"bedrock", "gemini"}}
"""Keys that belong to some kinds only."""


class ProviderSettings(Section):
    """Where models answer, and in which words: any OpenAI-compatible endpoint, or one of the kinds with words of their own."""

    kind: Kind = "openai"
    base_url: str
    """OpenAI: up to and including `/v1`. Azure: the resource. The others have a usual one; `{region}` stands for the region."""
    api_key_env: str = ""
    """Environment variable that holds the key; empty: no key is sent. Kinds other than `openai` have a usual one; `bedrock` takes
    AWS's own variables when it is empty."""
    api_version: str = ""
    """Azure: `api-version` of every call; empty: a current one."""
    project: str = ""
    """Gemini: project of Google Cloud; with it Vertex AI is asked, and the key is an access token."""
    region: str = ""
    """Bedrock: AWS region, empty: `AWS_REGION` of the environment. Gemini with a project: location."""
    timeout: Duration = 60.0
    concurrency_max: Annotated[int, Field(ge=1, le=1000)] = 16
    """Parallel calls of an evaluation."""

    @model_validator(mode="before")
    @classmethod
    def _with_usual(cls, data: Any) -> Any:
        """What the kind usually has, under what is given."""
        if not isinstance(data, dict):
            return data
        kind = "vertex" if data.get("kind") == "gemini" and data.get("project") else data.get("kind")
        return {**_USUAL.get(kind, {}), **data} if isinstance(kind, str) else data

    @field_validator("api_version", "project", "region")
    @classmethod
    def _of_its_kind(cls, value: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        if not value or kind is None:
            return value
        kinds = _KINDS_OF[str(info.field_name)]
        if kind not in kinds:
            raise PydanticCustomError(
                "of_another_kind", f"expected nothing: only kind {' or '.join(sorted(kinds))} has it"
            )
        if info.field_name == "region" and kind == "gemini" and not info.data.get("project"):
            raise PydanticCustomError(
                "of_another_kind", "expected nothing: only Gemini with a project has it"
            )
        return value

    @property
    def secret_envs(self) -> tuple[str, ...]:
        """Every environment variable whose value must never be shown."""
        aws = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK")
        return (self.api_key_env,) if self.api_key_env else aws if self.kind == "bedrock" else ()


class ModelSettings(Section):
    """What is known about a model; laid over the built-in catalogue."""

    provider: str | None = None
    """Key of `[providers]`; None: the first one."""
    context_tokens: Annotated[int, Field(gt=0)] | None = None
    retires_on: str | None = None
    """ISO date; after it lint refuses the model, 60 days before it lint warns."""
    price_in: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """USD per million tokens read. Price and output price go together; None: the list price, where there is one."""
    price_out: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """USD per million tokens written."""
    price_cached: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """USD per million tokens that the provider read from its cache; None: as `price_in`."""


class EvaluationSettings(Section):
    """How suites are run."""

    shards: Annotated[int, Field(ge=1, le=64)] = 1
    """Parts a release's suite is split into; each is a Prefect task."""
    dask: str = ""
    """Address of a Dask scheduler, `tcp://host:8786`: shards run there (needs prefect-dask). Empty: in the flow's process."""
    cache: bool = True
    """Keep answers by content under `data_dir`, so that an unchanged baseline is not paid again."""
    spend_max_usd: Annotated[float, Field(gt=0)] | None = None
    """Most that one suite of a release may cost; a suite's own budget, if lower, goes before."""
    allow_unpriced: bool = False
    """Run suites that have a limit of cost also with models whose price is not known: their answers are not counted."""
    stop_early: bool = True
    """End a suite as soon as nothing still to be asked could change its outcome."""


class ScorerSettings(Section):
    """Online scoring: the process that scores sampled answers. What is scored, and how, is in the plans."""

    samples: str = ""
    """Directory in which gateways leave answers for the scorer; empty: `<data_dir>/samples`."""
    samples_bytes_max: Annotated[int, Field(ge=1_000_000)] = 256_000_000
    """Most that lies there; then gateways drop what is drawn, and count it."""
    samples_age_max: Duration = 3600.0
    """Age at which an answer that nobody scored is deleted by the gateway, seconds."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 16
    """Answers that are scored at the same time."""
    spend_max_usd: Annotated[float, Field(gt=0)] | None = None
    """Most that all judges together may cost per day (UTC)."""
    redact: tuple[Annotated[str, AfterValidator(pattern)], ...] = ()
    """Regular expressions of what is taken out of texts, beside e-mail addresses, phone and card numbers, IBANs and keys."""

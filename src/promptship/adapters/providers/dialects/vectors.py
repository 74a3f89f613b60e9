"""Embeddings (OpenAI, Azure, Gemini) and moderation (OpenAI): requests, and what comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from promptship.adapters.providers.dialects.azure import deployment_path
from promptship.adapters.providers.dialects.call import HttpCall, Target, count
from promptship.adapters.providers.dialects.gemini import model_path

Vectors = Sequence[Sequence[float]]


def openai_embeddings(target: Target, model: str, texts: Sequence[str], **more: Any) -> HttpCall:
    """To `embeddings` under the base address."""
    return target.call("/embeddings", {**more, "model": model, "input": list(texts)})


def azure_embeddings(target: Target, model: str, texts: Sequence[str], **more: Any) -> HttpCall:
    """To the deployment's `embeddings`."""
    return target.call(
        deployment_path(target, model, "embeddings"), {**more, "model": model, "input": list(texts)}
    )


def gemini_embeddings(target: Target, model: str, texts: Sequence[str], **more: Any) -> HttpCall:
    """All texts in one call: `batchEmbedContents`, or `predict` of Vertex AI."""
    if target.project:
        return target.call(
            model_path(target, model, "predict"), {**more, "instances": [{"content": text} for text in texts]}
        )
    name = f"models/{model.removeprefix('models/')}"
    requests = [{**more, "model": name, "content": {"parts": [{"text": text}]}} for text in texts]
    return target.call(model_path(target, model, "batchEmbedContents"), {"requests": requests})


def vectors_of(value: Any, *, wanted: int) -> tuple[Vectors, int]:
    """One vector per text, in their order, and the tokens read (0: not said), in OpenAI's form or either of Google's.

    Raises:
        KeyError, TypeError, ValueError: it is not that; another number of vectors than `wanted`; a number that is not finite.
    """
    if "data" in value:
        items = sorted(value["data"], key=lambda item: item.get("index") or 0)
        found = [_numbers(item["embedding"]) for item in items]
        tokens = count((value.get("usage") or {}).get("prompt_tokens")) or 0
    elif "predictions" in value:
        found = [_numbers(one["embeddings"]["values"]) for one in value["predictions"]]
        counts = [
            (one["embeddings"].get("statistics") or {}).get("token_count") for one in value["predictions"]
        ]
        tokens = sum(int(one or 0) for one in counts)
    else:
        found = [_numbers(one["values"]) for one in value["embeddings"]]
        tokens = 0
    if len(found) != wanted:
        raise ValueError(f"{len(found)} vectors for {wanted} texts")
    return found, tokens


def _numbers(values: Any) -> tuple[float, ...]:
    numbers = tuple(float(one) for one in values)
    if not numbers or not all(math.isfinite(one) for one in numbers):
        raise ValueError("a vector without numbers")
    return numbers


def openai_moderation(target: Target, model: str, text: str) -> HttpCall:
    """To `moderations` under the base address."""
    return target.call("/moderations", {"model": model, "input": text})


def flags_of(value: Any) -> Mapping[str, float]:
    """Flagged categories with their scores, 0..1. Raises KeyError, IndexError, TypeError: it is no moderation."""
    result = value["results"][0]
    scores = result.get("category_scores") or {}
    return {
        str(name): float(scores.get(name) or 1.0)
        for name, flagged in dict(result["categories"]).items()
        if flagged
    }

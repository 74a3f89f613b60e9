"""promptfoo's providers by their ids: models over HTTP, services, programs and files of the user's own."""

from promptship.evals.promptfoo.providers.registry import Providers, make_provider, provider_notes

__all__ = ["Providers", "make_provider", "provider_notes"]

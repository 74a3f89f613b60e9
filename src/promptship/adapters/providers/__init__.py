"""Language models of every kind of provider: whole calls for evaluations; raw passage of OpenAI-compatible ones for the gateway."""

from promptship.adapters.providers.endpoints import Endpoint, Endpoints
from promptship.adapters.providers.models import HttpModels
from promptship.adapters.providers.upstream import HttpUpstream

__all__ = ["Endpoint", "Endpoints", "HttpModels", "HttpUpstream"]

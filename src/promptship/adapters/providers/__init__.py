"""Language models of every kind of provider: whole calls for evaluations (`models.py`), raw passage for the gateway (`upstream.py`)."""

from promptship.adapters.providers.models import HttpModels

__all__ = ["HttpModels"]

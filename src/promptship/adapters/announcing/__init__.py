"""Sinks of what happens to releases: webhooks, Prefect's events, traces."""

from promptship.adapters.announcing.prefect_events import PrefectEvents
from promptship.adapters.announcing.traces import ReleaseTraces
from promptship.adapters.announcing.webhook import Webhook

__all__ = ["PrefectEvents", "ReleaseTraces", "Webhook"]

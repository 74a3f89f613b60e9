"""Prefect tasks: thin, retryable, safe to run twice. One use case each; the release's state is in the ledger, not here."""

"""Readers of prompt files, one per format; each fills a `Draft`."""

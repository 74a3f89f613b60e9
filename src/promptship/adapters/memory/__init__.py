"""Ports kept in memory: for tests and for trying things out. They pass the same contract tests as the real ones."""

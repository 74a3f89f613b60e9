"""Prefect flows. They read like the lifecycle: no I/O, no arithmetic, no classes."""

"""The offline evaluation engine: suites, assertions, judges, trials and comparisons."""

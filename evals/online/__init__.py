"""Online scoring: sampled answers of live traffic, judged by the evaluation engine, off the request path."""

"""Promises of the model package, on small checkpoints filled by a formula."""

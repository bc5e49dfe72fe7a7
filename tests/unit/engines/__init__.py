"""Promises of the engine table and of residency."""

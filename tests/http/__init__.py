"""Promises, as tests."""

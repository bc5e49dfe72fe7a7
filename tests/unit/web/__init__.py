"""Promises of the web's parts that need no server."""

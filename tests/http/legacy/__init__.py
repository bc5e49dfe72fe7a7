"""Promises to clients that were there before: plugins, front servers, phones."""

"""The JavaScript client, in Node and in a browser; skipped where those are not installed."""

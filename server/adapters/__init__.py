"""The outside world behind ports: database, queue, events, artifacts."""

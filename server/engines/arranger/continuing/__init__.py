"""Music that goes on where a clip ends, and music from words alone."""

"""Music that goes on, and music from words, judged by what the source was made of."""

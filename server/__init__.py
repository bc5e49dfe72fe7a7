"""melodyflow: audio in, the same music played by something else out."""

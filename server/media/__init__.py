"""Sound itself: clips, codecs, cutting, loudness and musical measures."""

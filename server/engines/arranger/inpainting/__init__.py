"""Writing new music into windows of a clip, over what the music around them goes on doing."""

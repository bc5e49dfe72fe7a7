"""New music in windows: does it belong to the song?"""

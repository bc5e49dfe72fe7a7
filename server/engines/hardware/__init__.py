"""Cards and processors that networks run on, and making do with the memory they have."""

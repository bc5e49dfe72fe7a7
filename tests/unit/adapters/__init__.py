"""What adapters promise."""

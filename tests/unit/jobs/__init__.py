"""What jobs promise."""

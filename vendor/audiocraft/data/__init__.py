"""Audio in and out of tensors."""

"""Weights of networks: which there are, which are here, and how they come here."""

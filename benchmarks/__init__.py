"""Measurements beside the peer, as distributions, in one common form."""

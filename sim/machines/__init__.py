"""Machines: the plants, what they exchange with the by-wire ECU, their parameters."""

"""Faults done to the running demo, and what is seen of them from outside: tools, no simulator."""

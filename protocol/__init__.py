"""Headframe's wire contract: frames, messages, names and times, free of I/O and of clocks."""

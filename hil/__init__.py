"""The hardware-in-the-loop bench."""

"""Weak networks on one computer: a pure link model, and what carries real traffic over it."""

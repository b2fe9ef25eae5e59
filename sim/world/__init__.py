"""Worlds to drive in: sites, and what happens where a machine meets a wall."""

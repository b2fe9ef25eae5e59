"""Tests that run in the guest kernel alone, by ``python -m hil.kernel test`` (pytest there)."""

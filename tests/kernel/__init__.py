"""Tests on real drivers, in a guest kernel; ``make test`` leaves them out."""

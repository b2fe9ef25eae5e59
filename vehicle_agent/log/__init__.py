"""The flight recorder's files: what is in them, how they are written, and how anything is read."""

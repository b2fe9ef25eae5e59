"""The machine's processes and everything of them that touches the outside."""

"""The whole chain in one process under a simulated clock: its parts, and the run of them."""

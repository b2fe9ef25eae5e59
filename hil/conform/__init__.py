"""The conformance kit: a machine that nobody here has seen, by its DBC, limits and a mapping."""

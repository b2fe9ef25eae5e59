"""The agent: what runs on the machine's computer."""

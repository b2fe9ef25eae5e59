"""The machine's decisions: pure, with the time as an argument and nothing read or sent."""

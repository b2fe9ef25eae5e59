"""The console's decisions: pure, with the time as an argument."""

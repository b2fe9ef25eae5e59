"""What is done with a log: re-run, what-if, explain, cut, verify, play, export, report."""

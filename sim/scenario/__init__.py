"""What a run is asked to do, by a file, and what it is judged and shown by."""

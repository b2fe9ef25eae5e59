"""What the machine's log holds of the supervisor, and how it goes to the disk."""

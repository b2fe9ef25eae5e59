"""What a machine's sensors make of the world around it."""

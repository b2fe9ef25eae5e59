"""What stands behind a bench's ports: real drivers, and a fake beside each."""

"""The guest kernel: real Linux drivers that this computer's own kernel may not have."""

"""Pictures of the simulated world as a camera on the machine sees it."""

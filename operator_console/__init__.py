"""The driver's side: what he asks goes out, what the machine says is shown."""

"""The console's edges: broker, browser, input devices, files."""

"""The simulator: plants, worlds, pictures, the emulated by-wire ECU, and the demo."""

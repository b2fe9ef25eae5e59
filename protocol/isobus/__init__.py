"""ISOBUS (ISO 11783-7) as far as Headframe speaks it: guidance, speed, heartbeat."""

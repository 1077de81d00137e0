"""Programs that speak the exact wire of things that cannot be had in a test: a validator, a systemd."""

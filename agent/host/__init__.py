"""The host as the agent reaches it: systemd over D-Bus."""

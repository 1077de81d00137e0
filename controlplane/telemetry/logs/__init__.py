"""Logs of the fleet: findings and agents' own lines, asked for here or in Loki, and sent there."""

"""Snapshot archives of a validator: listed, verified, pinned and pruned."""

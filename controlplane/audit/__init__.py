"""The audit log: one writer, signed checkpoints, and what must be left out of it."""

"""Durable operations: plans, the engine, and one file for each kind of work."""

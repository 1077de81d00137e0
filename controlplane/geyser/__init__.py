"""Geyser pipelines: how they stand, which hop is at fault, and how they mend themselves."""

"""The guard chain: one file for each link that every call passes."""

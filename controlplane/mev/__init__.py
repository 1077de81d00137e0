"""MEV: bundles from their transactions to the chain, what they cost, and what to tip."""

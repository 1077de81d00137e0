"""What is unusual: online, causal, for many series at once, and one verdict for each host; pure numpy, no I/O."""

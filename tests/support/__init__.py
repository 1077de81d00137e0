"""What tests, benchmarks and the demo stand on: real control planes and agents, in this process or their own."""

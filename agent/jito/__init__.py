"""The Jito block engine: regions, their limits, bundles that go out and what is told of them."""

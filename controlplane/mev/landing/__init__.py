"""Whether a bundle lands at a tip: a model that learns from one's own outcomes."""

"""Where the model starts: made from simulations by `python -m tests.bench.landing_prior`."""

VERSION = 1
# The ceiling's weights, then those of the number of rivals, then those of the ramps of the market's.
MEAN = (1.827, 2.67, 0.329, 3.633, 3.015, -0.226, -0.2, -0.2, -0.3, 0, 0.241, 0.099, -0.093, -2.036, -3.179)
SPREAD = (0.7, 1, 0.56, 0.772, 0.774, 0.449, 1, 1, 1, 0.5, 0.3, 0.3, 0.887, 1.5, 1.5)
# Rivals after the same profit: odds of none, else how many, and where the middle of their bids lies.
NONE = 0.427
COUNTS = (0.212, 0.151, 0.196, 0.098, 0.206, 0.05, 0.035, 0.025, 0.017, 0.01)
MIDDLES = (0.124, 0.107, 0.084, 0.091, 0.079, 0.087, 0.075, 0.08, 0.12, 0.151)

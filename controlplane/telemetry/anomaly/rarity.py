"""How rare things are: -log10 of their chance, called surprise."""

import numpy as np
from numpy.typing import NDArray

Narrow = NDArray[np.float32]
# Nothing is called rarer than one in 10^15.
MOST = np.float32(15.0)
# Mean distance of a normal distribution from its mean, in standard deviations.
MEAN_DISTANCE = 0.7979


def normal_surprise(deviations: NDArray[np.floating]) -> Narrow:
    """Give -log10 of the chance that a normal variable is so many standard deviations from its mean, or further.

    By the bound `exp(-z²/2)`, which is never less than the chance itself; 0 up to z = 1.
    """
    surprise = np.where(deviations > 1.0, deviations * deviations * (0.5 / np.log(10.0)), 0.0)
    return np.minimum(surprise, MOST).astype(np.float32)

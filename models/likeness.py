"""How lips and sound of a clip are compared: by the lip-audio pair's vectors and by the lip codes.

The pair has learnt from few people what goes with what; the lips that the network reads from the
sound have learnt the same in another way. Together they find the time better than either.
"""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

CODES = 0.25
"""Weight of a lip code, in spreads about the clip's mean, beside a unit vector of the pair."""


def comparable(vectors: F32, codes: F32) -> F32:
    """What the other side's is multiplied with, picture by picture.

    Args:
        vectors: (T, D) unit vectors of the pair, of lips or of sound; their mean over the clip,
            which says nothing of time, is taken off.
        codes: (T, K) lip codes, seen or read from the sound.

    Returns:
        (T, D + K).
    """
    about = codes - codes.mean(0)
    spread = np.sqrt((about**2).mean(0)) + 1e-6
    return np.concatenate([vectors - vectors.mean(0), CODES * about / spread], 1).astype(np.float32)

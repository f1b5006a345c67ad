"""Which of MediaPipe's 478 face landmarks form which line. Left and right are the picture's own."""

import numpy as np

LANDMARKS = 478
MOUTH_CORNERS = (78, 308)
OUTER_MOUTH_CORNERS = (61, 291)
LIP_MIDDLES = (0, 17)
"""Outer rims of the upper and the lower lip."""
CHEEKS = (50, 280, 205, 425)
UPPER_INNER_LIP = np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308])
LOWER_INNER_LIP = np.array([78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308])
"""From corner to corner, each upper point over its lower one."""
UPPER_LIP = np.array(
    [
        *(185, 40, 39, 37, 0, 267, 269, 270, 409),
        *(184, 74, 73, 72, 11, 302, 303, 304, 408),
        *(183, 42, 41, 38, 12, 268, 271, 272, 407),
        *(191, 80, 81, 82, 13, 312, 311, 310, 415),
    ]
)
LOWER_LIP = np.array(
    [
        *(146, 91, 181, 84, 17, 314, 405, 321, 375),
        *(77, 90, 180, 85, 16, 315, 404, 320, 307),
        *(96, 89, 179, 86, 15, 316, 403, 319, 325),
        *(95, 88, 178, 87, 14, 317, 402, 318, 324),
    ]
)
"""Rows from the outer rim to the inner, without the corners."""

UPPER_LIDS = (
    np.array([33, 246, 161, 160, 159, 158, 157, 173, 133]),
    np.array([362, 398, 384, 385, 386, 387, 388, 466, 263]),
)
LOWER_LIDS = (
    np.array([33, 7, 163, 144, 145, 153, 154, 155, 133]),
    np.array([362, 382, 381, 380, 374, 373, 390, 249, 263]),
)
"""From the picture's left to its right; the corners stand in both."""

LID_FOLDS = (
    np.array([247, 30, 29, 27, 28, 56, 190, 113, 225, 224, 223, 222, 221, 189]),
    np.array([467, 260, 259, 257, 258, 286, 414, 342, 445, 444, 443, 442, 441, 413]),
)
"""Skin between lid and brow, which unfolds as the lid falls."""
BROW_RIMS = (np.array([46, 53, 52, 65, 55]), np.array([285, 295, 282, 283, 276]))
"""Lower rims of the brows, from the picture's left to its right."""

UPPER_RIMS = np.concatenate([UPPER_LIP, *(lids[1:-1] for lids in UPPER_LIDS)])
LOWER_RIMS = np.concatenate([LOWER_LIP, *(lids[1:-1] for lids in LOWER_LIDS)])
"""What stands above and below where the face parts: lips and lids."""
IRISES = (np.arange(468, 473), np.arange(473, 478))
BROWS = np.array(
    [70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 300, 293, 334, 296, 336, 276, 283, 282, 295, 285]
)
FACE_SIDES = (234, 454)
"""Their distance is the face width."""
CHIN = 152
FOREHEAD = 10
JAW = np.array([152, 148, 377, 175, 171, 396, 199, 200, 176, 400])

"""From a picture to an avatar, with a finder of faces and a matte handed in."""

import getpass
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.avatar import Avatar, AvatarInfo
from engine.closing import OPEN, closed
from engine.onboarding.cut import Cut
from engine.onboarding.faces import Finder
from models import measures

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

LICENCE: Final = "private"
SMALL_FACE_PX: Final = 160
"""A face less wide looks soft in a call."""
_TURNED: Final = 18.0
_LACKING: Final = 0.08
_DARK: Final = 45
_BLURRED: Final = 12.0
_CLEAR: Final = 0.05
"""A picture of which so much is transparent has been cut out already: its alpha is the matte."""

Matte = Callable[[U8], U8]
"""(N, N, 3) uint8 picture -> (N, N) uint8, 255 where the person is."""


@dataclass(frozen=True, slots=True, eq=False)
class Tools:
    """The networks that a picture needs.

    Attributes:
        finder: of faces.
        matte: of the person.
    """

    finder: Finder
    matte: Matte


def open_tools(backend: str, landmarker: Path | None = None) -> Tools:
    """The shipped networks, on a backend; see `engine.faces.open_finder` for `landmarker`.

    Raises:
        BackendError: they cannot run here.
    """
    from engine import backends
    from engine.faces import open_finder
    from engine.matting import matte
    from models import weights

    backend = backends.beside(backend)
    network = backends.load(backend, weights.path(weights.MATTE), 2)
    return Tools(open_finder(backend, 2, landmarker), lambda picture: matte(picture, network))


def confirmed(name: str, title: str, by: str, source: str) -> AvatarInfo:
    """What an avatar's file says of it: who added it, when, and that the person agreed.

    Args:
        name, title: see `AvatarInfo`; without a title the name is shown.
        by: who confirmed it.
        source: the picture's name.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return AvatarInfo(
        name=name,
        title=title or name.replace("-", " ").replace("_", " ").title(),
        licence=LICENCE,
        author=by,
        created=now,
        source=source,
        consent=f"{by} confirmed at {now} that the person shown agreed",
    )


def user() -> str:
    """Name of who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for its user
        return "unknown"


def warnings(cut: Cut) -> list[str]:
    """What makes this picture a poor portrait, in sentences; an empty list is a good one."""
    found = []
    yaw = float(np.degrees(measures.pose(cut.landmarks[None])[0, 0]))
    native_px = cut.face_px / cut.enlarged
    if native_px < SMALL_FACE_PX:
        found.append(
            f"The face is only {native_px:.0f} px wide: from {SMALL_FACE_PX} it looks sharp."
        )
    if abs(yaw) > _TURNED:
        found.append(f"The head is turned {abs(yaw):.0f} degrees aside: the front looks best.")
    if cut.lacking > _LACKING:
        found.append("The picture ends close to the head: what is missing was filled in.")
    if measures.opening(cut.landmarks[None])[0] >= OPEN:
        found.append("The mouth is open: it was closed for the pauses.")
    low, high = cut.landmarks[:, :2].min(0).astype(int), cut.landmarks[:, :2].max(0).astype(int)
    face = cut.picture[max(low[1], 0) : high[1], max(low[0], 0) : high[0]]
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    if grey.mean() < _DARK:
        found.append("The face is dark: more light from the front helps.")
    scaled = cv2.resize(grey, (160, 160), interpolation=cv2.INTER_AREA)
    if cv2.Laplacian(scaled, cv2.CV_32F).var() < _BLURRED:
        found.append("The face is blurred: a sharper picture looks better.")
    return found


def avatar_of(cut: Cut, info: AvatarInfo, matte: Matte) -> Avatar:
    """The avatar of a cut: its mouth closed, the person apart from the background.

    Raises:
        AvatarError: its name is not valid, or landmarks leave the square.
    """
    portrait, landmarks = closed(cut.picture, cut.landmarks)
    return Avatar(info, portrait, _matte(cut, portrait, matte), landmarks.astype(np.float32))


def _matte(cut: Cut, portrait: U8, matte: Matte) -> U8:
    if cut.alpha is None:
        return matte(portrait)
    if float((cut.alpha < 128).mean()) >= _CLEAR:
        return cut.alpha
    return np.minimum(matte(portrait), cut.alpha)

"""What makes pictures of motion, by name: `cpu` on OpenCV and NumPy, `cuda` on an NVIDIA GPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from kernels.arrays import check_array
from kernels.eyeballs import POSE_DRIVERS, Eyeball
from kernels.guide import Line
from kernels.look import Shown, Size
from kernels.plates import Mouth
from kernels.rows import Network, Rows

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
MOST = 1024
"""Pictures in a batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """What is known of a face before it moves.

    Attributes:
        source: (H', W', 3) uint8, the portrait at `scale` times the picture's size.
        scale: see `source`.
        step_px: of the lattice, even.
        upper, lower: (G, G, N) float32, reach of each driver above and below where the face parts;
            G * step_px is the picture's size.
        alpha: (H', W') uint8 of the person, whose colours `source` then holds also around them;
            None where the whole portrait moves.
        head: (G, G, 4) float32, reach of the first four drivers, the head's pose, alone; None where
            no eyeballs are drawn.
    """

    source: U8
    scale: float
    step_px: int
    upper: F32
    lower: F32
    alpha: U8 | None = None
    head: F32 | None = None

    def __post_init__(self) -> None:
        check_array("source", self.source, np.uint8, (None, None, 3))
        if self.alpha is not None:
            check_array("alpha", self.alpha, np.uint8, self.source.shape[:2])
        check_array("upper", self.upper, np.float32, (None, self.upper.shape[0], None))
        check_array("lower", self.lower, np.float32, self.upper.shape)
        if self.head is not None:
            check_array("head", self.head, np.float32, (*self.upper.shape[:2], POSE_DRIVERS))
        if self.step_px < 2 or self.step_px % 2:
            raise ValueError(f"step_px is {self.step_px}, expected an even number over 0")

    @property
    def size_px(self) -> int:
        """Side of the picture."""
        return int(self.upper.shape[0]) * self.step_px


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """A face in one picture.

    Attributes:
        face: what `Kernels.prepare` made of its portrait.
        drivers: (N, 2) float32, pixels a unit of reach.
        lines: where the face parts, the mouth's first; none where it does not.
    """

    face: "Face"
    drivers: F32
    lines: Sequence[Line]


class Face(Protocol):
    """A portrait made ready; shared by all its sessions.

    Attributes:
        portrait: what it was made of.
    """

    @property
    def portrait(self) -> Portrait:
        """See above."""


class Backdrop(Protocol):
    """What people move over, made ready; shared by all sessions that show it.

    Attributes:
        size_px: its side.
    """

    @property
    def size_px(self) -> int:
        """See above."""


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """One picture as encoders take it.

    Attributes:
        i420: (H * 3 // 2, W) uint8.
        alpha: (H, W) uint8 of the person, by which `i420` is not multiplied; None unless asked for.
    """

    i420: U8
    alpha: U8 | None = None


class Overlay(Protocol):
    """A window laid over a picture, wherever its pixels lie: a `Patch`, or what kernels made.

    Attributes:
        x, y: its upper left corner in the picture.
    """

    @property
    def x(self) -> int:
        """See above."""

    @property
    def y(self) -> int:
        """See above."""


class Plates(Protocol):
    """Pictures of what is in a mouth, made ready; shared by all sessions of its portrait.

    Attributes:
        count: how many.
    """

    @property
    def count(self) -> int:
        """See above."""


class Guides(Protocol):
    """Backward flows of a batch, wherever they lie."""

    def __len__(self) -> int:
        """Faces in the batch."""

    def only(self, numbers: Sequence[int]) -> "Guides":
        """Those of some faces, in that order; nothing is copied."""


class Looks(Protocol):
    """Windows of a batch as a network is shown them.

    Attributes:
        guide: (B, 3, H, W), the windows in [-1, 1].
        region: (B, 1, H, W), where the network may paint, to 1.
    """

    @property
    def guide(self) -> Rows:
        """See above."""

    @property
    def region(self) -> Rows:
        """See above."""


Behind = Sequence[Backdrop | None]
"""What is behind the person of each picture; None where the whole portrait is shown."""


class Kernels(Protocol):
    """One way to make pictures. Sessions of different portraits share a batch.

    Attributes:
        name: what `load` knows them by. Faces and backdrops serve all kernels of that name.
    """

    name: str

    def prepare(self, portrait: Portrait) -> Face:
        """Takes a portrait in, once."""

    def backdrop(self, rgb: U8) -> Backdrop:
        """Takes (S, S, 3) uint8 RGB in, once.

        Raises:
            ValueError: the shape or dtype is another.
        """

    def plates(self, pictures: Sequence[F32]) -> Plates:
        """Takes (h, w, 4) float32 in, once: each 0 to 255, colours multiplied by alpha.

        Raises:
            ValueError: the shape or dtype of one is another, or it has no pixels.
        """

    def guide(self, batch: Sequence[Moved]) -> Guides:
        """Where every pixel of each picture comes from.

        Raises:
            ValueError: the batch is empty or too large, its pictures differ in size, or drivers
                or lines do not fit.
        """

    def eyeballs(self, guides: Guides, eyes: Sequence[Sequence[Eyeball]]) -> list[list[Overlay]]:
        """What shows of the eyeballs in each picture.

        Args:
            guides: of the batch.
            eyes: of each picture.

        Raises:
            ValueError: eyes are not given for as many pictures, or for a portrait without `head`.
        """

    def mouths(
        self, plates: Sequence[Plates], mouths: Sequence[Mouth | None]
    ) -> list[Overlay | None]:
        """What shows between the lips; None where None is given.

        Args:
            plates: of each mouth.
            mouths: as many.

        Raises:
            ValueError: the two do not fit each other, or there are too many.
        """

    def windows(
        self,
        guides: Guides,
        patches: Sequence[Sequence[Overlay]],
        corners: Sequence[tuple[int, int]],
        size: Size,
        behind: Behind | None = None,
    ) -> list[U8]:
        """A window of each picture, (height, width, 3) uint8 RGB: what a network is shown.

        Args:
            guides: of the batch.
            patches: of each picture, laid over it in order, before alpha cuts it out.
            corners: (x, y) of each window in its picture.
            size: (width, height) of all.
            behind: of each picture, nothing if not given.

        Raises:
            ValueError: as many patches, corners or backdrops are not given, a patch is damaged or
                made by other kernels, or a backdrop is of another size or behind a portrait
                without alpha.
        """

    def pictures(
        self,
        guides: Guides,
        patches: Sequence[Sequence[Overlay]],
        behind: Behind | None = None,
        transparent: Sequence[bool] | None = None,
    ) -> list[Planes]:
        """Each whole picture.

        Args:
            guides, patches, behind: see `windows`.
            transparent: which pictures give their alpha beside them; none if not given.

        Raises:
            ValueError: see `windows`; or one is to be transparent that has a backdrop or no alpha.
        """

    def look(
        self,
        guides: Guides,
        patches: Sequence[Sequence[Overlay]],
        shown: Sequence[Shown],
        size: Size,
        frame: Rows,
    ) -> Looks:
        """What a network is shown of windows, see `windows`.

        Args:
            guides, patches: see `windows`.
            shown: of each picture.
            size: (width, height) of all windows.
            frame: (1, H, W), what `region` is multiplied by; H, W are the network's size.

        Raises:
            ValueError: see `windows`.
        """

    def painted(self, looks: Looks, made: Rows) -> Sequence[Overlay]:
        """Windows with what a network made of them, (B, 3, H, W), see `kernels.look.painted`."""

    def put(self, rows: F32) -> Rows:
        """Takes (B, ...) float32 in."""

    def stacked(self, rows: Sequence[Rows]) -> Rows:
        """Rows of several, one after the other."""

    def mixed(self, given: Rows, into: Rows, of_given: float, of_into: float) -> Rows:
        """`of_given` times the first plus `of_into` times the second, which is used up."""

    def run(self, network: Network, feeds: Mapping[str, Rows], output: str) -> Rows:
        """What a network gives for a batch: where it lies on the same device, nothing leaves it."""

    def fetch(self, rows: Rows) -> F32:
        """(B, ...) float32 of the host."""

    def i420(self, rgb: U8) -> list[U8]:
        """(B, H, W, 3) uint8 RGB of any even size -> B times (H * 3 // 2, W) uint8 I420.

        Raises:
            ValueError: the shape or dtype is another.
        """


def load(name: str) -> Kernels:
    """Chooses the kernels once, by name.

    Args:
        name: `cpu` or `cuda`.

    Raises:
        ValueError: there are none of that name.
        GpuError: CuPy is not installed or there is no GPU; nothing falls back in silence.
    """
    if name == "cpu":
        from kernels.on_cpu import CpuKernels

        return CpuKernels()
    if name == "cuda":
        from kernels.gpu import CupyDevice
        from kernels.on_cuda import CudaKernels

        return CudaKernels(CupyDevice())
    raise ValueError(f"kernels {name!r} are unknown, expected 'cpu' or 'cuda'")


Own = TypeVar("Own")


def own(made: object, kind: type[Own]) -> Own:
    """What kernels are given back.

    Raises:
        ValueError: other kernels made it.
    """
    if not isinstance(made, kind):
        raise ValueError(f"{type(made).__module__} made what is given, expected {kind.__module__}")
    return made

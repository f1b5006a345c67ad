"""Avatar files: one portrait and all that is known of it, in a zip without pickles."""

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import AvatarError
from models.topology import LANDMARKS

FORMAT = 1
MIN_PX, MAX_PX = 256, 2048
MAX_FILE_BYTES = 32 * 2**20
SUFFIX = ".avatar"
BUILT_IN = Path(__file__).resolve().parent.parent / "models" / "avatars"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_MEMBERS = {"avatar.json", "portrait.png", "matte.png", "landmarks.npy"}


@dataclass(frozen=True, slots=True)
class AvatarInfo:
    """Who an avatar is, and by whose leave.

    Attributes:
        name: lower case letters, digits, `-` and `_`, 1 to 40 of them.
        title: the name shown to people.
        licence, author, created, source: origin; `created` is an ISO 8601 date, or date and time.
        consent: who confirmed, and when, that the person shown agreed; empty for nobody's face.
    """

    name: str
    title: str
    licence: str
    author: str
    created: str
    source: str = ""
    consent: str = ""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Avatar:
    """A portrait with its landmarks.

    Attributes:
        info: origin and licence.
        portrait: (N, N, 3) uint8 RGB, N from 256 to 2048.
        matte: (N, N) uint8, 255 where the person is, 0 where the background is.
        landmarks: (478, 3) float32 pixels of the portrait, MediaPipe's order; z grows away from
            the camera, in the scale of x.
    """

    info: AvatarInfo
    portrait: npt.NDArray[np.uint8]
    matte: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        name = self.info.name
        check_name(name)
        side = self.portrait.shape[0]
        if self.portrait.dtype != np.uint8 or self.portrait.shape != (side, side, 3):
            raise AvatarError(
                f"avatar {name!r}: portrait is {self.portrait.shape} {self.portrait.dtype}, "
                "expected a square RGB picture of uint8"
            )
        if not MIN_PX <= side <= MAX_PX:
            raise AvatarError(
                f"avatar {name!r}: portrait is {side} px wide, expected {MIN_PX} to {MAX_PX}"
            )
        if self.matte.dtype != np.uint8 or self.matte.shape != (side, side):
            raise AvatarError(
                f"avatar {name!r}: matte is {self.matte.shape} {self.matte.dtype}, "
                f"expected {(side, side)} uint8"
            )
        if self.landmarks.dtype != np.float32 or self.landmarks.shape != (LANDMARKS, 3):
            raise AvatarError(
                f"avatar {name!r}: landmarks are {self.landmarks.shape} {self.landmarks.dtype}, "
                f"expected {(LANDMARKS, 3)} float32"
            )
        xy = self.landmarks[:, :2]
        if not np.isfinite(self.landmarks).all() or xy.min() < 0 or xy.max() > side:
            raise AvatarError(f"avatar {name!r}: landmarks leave the {side} px portrait")

    @classmethod
    def load(cls, path: Path | str) -> "Avatar":
        """Reads and checks an avatar file.

        Raises:
            AvatarError: the file is missing, damaged, too large, or of another version.
        """
        path = Path(path)
        members = dict(_read_members(path))
        missing = sorted(_MEMBERS - set(members))
        if missing:
            raise AvatarError(f"avatar file {path.name} lacks {missing[0]}")
        info = _read_info(path, members["avatar.json"])
        try:
            landmarks = np.load(io.BytesIO(members["landmarks.npy"]), allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise AvatarError(f"avatar file {path.name}: landmarks.npy cannot be read") from error
        portrait = _read_png(path, "portrait.png", members["portrait.png"], cv2.IMREAD_COLOR)
        matte = _read_png(path, "matte.png", members["matte.png"], cv2.IMREAD_GRAYSCALE)
        return cls(info, _swap(portrait), matte, landmarks)

    def save(self, folder: Path | str) -> Path:
        """Writes `NAME.avatar` into a folder, whole or not at all, and returns its path.

        Raises:
            AvatarError: the folder cannot be written, or the disk is full.
        """
        folder = Path(folder)
        target = folder / f"{self.info.name}{SUFFIX}"
        data = self._packed()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
                try:
                    part.write(data)
                    part.close()
                    Path(part.name).replace(target)
                except BaseException:
                    Path(part.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise AvatarError(f"{target} cannot be written: {reason}") from error
        return target

    def _packed(self) -> bytes:
        """The file's bytes."""
        landmarks, packed = io.BytesIO(), io.BytesIO()
        np.save(landmarks, self.landmarks, allow_pickle=False)
        text = json.dumps({"format": FORMAT, **asdict(self.info)}, indent=2)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("avatar.json", text)
            archive.writestr("portrait.png", _png(_swap(self.portrait)))
            archive.writestr("matte.png", _png(self.matte))
            archive.writestr("landmarks.npy", landmarks.getvalue())
        return packed.getvalue()


def check_name(name: str) -> None:
    """Whether a name may stand in a file's name and in an address.

    Raises:
        AvatarError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise AvatarError(
            f"avatar name {name[:60]!r} is not valid, expected 1 to 40 of a-z, 0-9, '-' and '_'"
        )


def names(folder: Path = BUILT_IN) -> list[str]:
    """Names of the avatars in a folder, in alphabetical order."""
    return sorted(p.stem for p in folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(p.stem))


def find(name: str, folder: Path = BUILT_IN) -> Avatar:
    """Loads an avatar by name.

    Raises:
        AvatarError: there is no such avatar, or its file is damaged.
    """
    known = names(folder)
    if name not in known:
        raise AvatarError(f"avatar {name!r} is unknown, expected one of {known}")
    return Avatar.load(folder / f"{name}{SUFFIX}")


def _swap(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """RGB to BGR, or back."""
    return np.ascontiguousarray(picture[..., ::-1])


def _png(picture: npt.NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    if not done:
        raise AvatarError(f"a picture of shape {picture.shape} cannot be written as PNG")
    return bytes(data)


def _read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise AvatarError(f"avatar file {path.name} has {size} bytes, limit {MAX_FILE_BYTES}")
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename not in _MEMBERS:
                    continue
                if member.file_size > MAX_FILE_BYTES:
                    raise AvatarError(
                        f"avatar file {path.name}: {member.filename} unpacks to "
                        f"{member.file_size} bytes, limit {MAX_FILE_BYTES}"
                    )
                yield member.filename, archive.read(member)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise AvatarError(f"avatar file {path}: {reason}") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise AvatarError(f"avatar file {path.name} is damaged: {error}") from error


def _read_info(path: Path, text: bytes) -> AvatarInfo:
    try:
        fields = json.loads(text)
        version = fields.pop("format")
        info = AvatarInfo(**{str(key): str(value) for key, value in fields.items()})
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise AvatarError(f"avatar file {path.name}: avatar.json is not valid") from error
    if version != FORMAT:
        raise AvatarError(f"avatar file {path.name} is of format {version}, expected {FORMAT}")
    return info


def _read_png(path: Path, name: str, data: bytes, mode: int) -> npt.NDArray[np.uint8]:
    # The header is read first: a small file may claim a picture of gigabytes.
    side = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[:8] != b"\x89PNG\r\n\x1a\n" or max(side) > MAX_PX:
        raise AvatarError(
            f"avatar file {path.name}: {name} is no PNG of at most {MAX_PX} px a side"
        )
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    if picture is None:
        raise AvatarError(f"avatar file {path.name}: {name} is damaged")
    return np.asarray(picture, np.uint8)

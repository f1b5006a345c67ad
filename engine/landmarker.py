"""MediaPipe's landmark network, from a file that the user has, on OpenVINO.

A Face Landmarker file (`.task`) is a zip with TensorFlow Lite files in it, which OpenVINO reads.
"""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from engine.backends import Arrays
from engine.backends.openvino import compile_model
from engine.errors import BackendError
from models.topology import LANDMARKS

ROOM = 1.5
"""Side of the crop that it was made for, in face sizes."""
MEMBER = "face_landmarks_detector.tflite"
MAX_BYTES = 64 * 2**20


class Landmarker:
    """Runs crops (1, 3, S, S) from 0 to 1 -> `points` (1, N, 3) in crop sides and `score` (1, 1).

    Attributes:
        crop_px: S, side of the crop.

    Args:
        path: a `.task` file, or a `.tflite` file of the landmark network alone.
        threads: CPU threads for one inference.
        count: landmarks that it must give.

    Raises:
        BackendError: the file is missing or damaged, or holds another network.
    """

    def __init__(self, path: Path, threads: int = 2, count: int = LANDMARKS) -> None:
        with tempfile.TemporaryDirectory() as folder:
            model = compile_model(_network(path, Path(folder)), threads)
        shape = _shape(model.inputs[0])
        sizes = [int(np.prod(_shape(port))) for port in model.outputs]
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or 1 not in sizes:
            raise BackendError(f"{path}: takes {shape}, expected a network of face landmarks")
        if 3 * count not in sizes:
            found = max(sizes) // 3
            raise BackendError(f"{path}: gives {found} landmarks, expected {count}")
        self.crop_px = int(shape[1])
        self._request = model.create_infer_request()
        # MediaPipe's has another single number after the flag: whether the tongue is out.
        self._points, self._flag = sizes.index(3 * count), sizes.index(1)

    def run(self, feeds: Arrays) -> Arrays:
        """See `models.faces.Runs`."""
        crops = np.ascontiguousarray(feeds["picture"].transpose(0, 2, 3, 1), np.float32)
        self._request.infer([crops])
        flag = self._request.get_output_tensor(self._flag).data.reshape(1, 1)
        points = self._request.get_output_tensor(self._points).data.reshape(1, -1, 3)
        score = 1 / (1 + np.exp(-flag.clip(-30, 30)))
        return {"points": points / np.float32(self.crop_px), "score": np.float32(score)}


def _shape(port: Any) -> tuple[int, ...]:
    """Of an input or output for one picture: where any size goes, 1."""
    return tuple(1 if side.is_dynamic else side.get_length() for side in port.partial_shape)


def _network(path: Path, folder: Path) -> Path:
    """The landmark network's own file; out of a `.task` file it is unpacked into a folder."""
    if not path.is_file():
        raise BackendError(f"landmarker {path}: no such file")
    if path.suffix == ".tflite":
        return path
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if MEMBER not in names:
                raise BackendError(f"landmarker {path}: holds {names}, expected {MEMBER}")
            if (size := archive.getinfo(MEMBER).file_size) > MAX_BYTES:
                raise BackendError(f"landmarker {path}: {MEMBER} has {size} bytes of {MAX_BYTES}")
            return Path(archive.extract(MEMBER, folder))
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise BackendError(f"landmarker {path}: no Face Landmarker file ({error})") from error

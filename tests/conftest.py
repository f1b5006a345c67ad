"""Fixtures that every package's tests share."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.avatar import Avatar, find, names
from engine.media import decode

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _no_avatars_of_ones_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have avatars: none of them is seen or touched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of footage and speech that is not part of the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not here")
    return folder


@pytest.fixture(scope="session")
def speech_path() -> Path:
    """Nine seconds of our own synthetic speech, see tests/data/README.md."""
    return Path(__file__).parent / "data" / "speech.ogg"


@pytest.fixture(scope="session")
def speech(speech_path: Path) -> npt.NDArray[np.int16]:
    """(N,) int16 at 48 kHz, read-only: the samples of `speech_path`."""
    samples = np.concatenate([pcm.samples for pcm in decode(speech_path)])
    samples.flags.writeable = False
    return samples


@pytest.fixture(scope="session")
def avatar() -> Avatar:
    """The default avatar."""
    known = names()
    if not known:
        pytest.skip("no avatar is built in")
    return find(known[0])

"""The audio stage: sound -> what the lips, the voice and its loudness are at each picture."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine import backends
from engine.config import EngineConfig
from engine.errors import ConfigError
from engine.frames import EMBEDDING, FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame, Pcm
from engine.gate import VoiceGate
from kernels.logmel import SILENCE, LogMel
from kernels.resample import Decimator
from models import weights

F32 = npt.NDArray[np.float32]

WEIGHTS = {60: "lips.onnx"}
"""Shipped lip networks by the lookahead in ms that they were trained for."""

_HOP_MS = 10
_HOP = SAMPLE_RATE_HZ * _HOP_MS // 1000
_HOPS = FRAME_MS // _HOP_MS
_MAX_CODE = 3.5
_WARM_UP_CHUNKS = 25
_QUIET_DB, _LOUD_DB = -50.0, -15.0


@lru_cache(maxsize=8)
def _rested(backend: str, path: Path) -> F32:
    """(1, S) the network's state after a second of silence."""
    network = backends.load(backend, path)
    state = np.zeros((1, network.inputs["state"][1]), np.float32)
    mel = np.tile(SILENCE, (1, _HOPS, 1))
    for _ in range(_WARM_UP_CHUNKS):
        state = network.run({"mel": mel, "state": state})["next_state"]
    state.flags.writeable = False
    return state


class AudioStage:
    """Streams 48 kHz sound through log-mel, the voice gate and the lip network.

    The frame of picture i comes out as soon as the sound up to `i * 40 ms + lookahead_ms` is in,
    however it was cut. Before pts 0 all was silence; a hole in the sound is silence too, and
    sound for a time already heard is ignored.

    Args:
        config: the session's settings.
        network: another lip network, of the same lookahead, in place of the shipped one; one
            without an embedding gives zeros for it.

    Raises:
        ConfigError: no lip network is shipped for the configured lookahead.
        BackendError: the configured backend cannot run.
    """

    _end: int
    _index: int
    _energy: float

    def __init__(self, config: EngineConfig, network: Path | None = None) -> None:
        if network is None and config.lookahead_ms not in WEIGHTS:
            raise ConfigError(
                f"lookahead_ms is {config.lookahead_ms}, expected one of {sorted(WEIGHTS)}"
            )
        path = network or weights.path(WEIGHTS[config.lookahead_ms])
        backend = backends.beside(config.backend)
        self._network = backends.load(backend, path)
        self._rested = _rested(backend, path)
        self._lookahead = config.lookahead_ms * SAMPLE_RATE_HZ // 1000
        self._ahead_hops = config.lookahead_ms // _HOP_MS
        self._decimator, self._logmel, self._gate = Decimator(), LogMel(), VoiceGate()
        self.reset()

    def push(self, pcm: Pcm) -> list[AudioFrame]:
        """Takes sound in order of its pts, gives the frames that are now complete."""
        samples = pcm.samples[max(0, self._end - pcm.pts) :]
        if not len(samples):
            return []
        hole = pcm.end - len(samples) - self._end
        self._end = pcm.end
        return self._hear(np.zeros(hole, np.int16)) + self._hear(samples)

    def flush(self) -> list[AudioFrame]:
        """The last frames, of all pictures that begin within the sound; only `reset` may follow."""
        pictures = -(-self._end // FRAME_SAMPLES)
        if pictures <= self._index:
            return []
        wanted = (pictures - 1) * FRAME_SAMPLES + self._lookahead
        return self._hear(np.zeros(max(0, wanted - self._end), np.int16))

    def reset(self) -> None:
        """As new: the next sound is expected at pts 0."""
        self._end = 0
        self._pending = np.empty(0, np.int16)
        self._state = self._rested
        self._energy = 0.0
        # Chunks end on `lookahead`, so the first ones reach back before the sound began.
        lead = -self._ahead_hops % _HOPS
        self._index = (_HOPS - lead - self._ahead_hops) // _HOPS
        self._lead = np.tile(SILENCE, (lead, 1))
        for part in (self._decimator, self._logmel, self._gate):
            part.reset()

    def _hear(self, samples: npt.NDArray[np.int16]) -> list[AudioFrame]:
        """Works chunk by chunk, so that how the sound was cut cannot matter."""
        held = np.concatenate([self._pending, samples])
        frames = []
        # The first chunk is shorter where it reaches back before the sound began.
        while len(held) >= (wanted := (_HOPS - len(self._lead)) * _HOP):
            frame = self._chunk(held[:wanted])
            held = held[wanted:]
            if frame is not None:
                frames.append(frame)
        self._pending = held
        return frames

    def _chunk(self, sound: npt.NDArray[np.int16]) -> AudioFrame | None:
        """One step of the network: its hops together, since each call of NumPy costs its own."""
        pcm = self._decimator.push(sound.astype(np.float32) / 32768.0)
        mels = self._logmel.push(pcm)
        heard = np.clip(pcm * 32768.0, -32768, 32767).astype(np.int16)
        hops = pcm.reshape(len(mels), -1)
        power = np.add.reduce(hops * hops, axis=1) / hops.shape[1]
        loud = (10 * np.log10(power + 1e-10) - _QUIET_DB) / (_LOUD_DB - _QUIET_DB)
        voice = 0.0
        parts = heard.reshape(hops.shape)
        for part, mel, loudness in zip(parts, mels, loud.tolist(), strict=True):
            voice = self._gate.push(part, mel)
            self._energy += 0.25 * (min(1.0, max(0.0, loudness)) - self._energy)
        if len(self._lead):
            mels, self._lead = np.concatenate([self._lead, mels]), self._lead[:0]
        found = self._network.run({"mel": mels[None], "state": self._state})
        self._state = found["next_state"]
        index, self._index = self._index, self._index + 1
        if index < 0:
            return None
        code = np.clip(found["code"][0], -_MAX_CODE, _MAX_CODE)
        code[0] = max(0.0, code[0])
        code *= voice * voice * (3 - 2 * voice)
        embedding = found["embedding"][0] if "embedding" in found else np.zeros(EMBEDDING)
        return AudioFrame(
            index,
            code.astype(np.float32),
            voice,
            self._energy * voice,
            embedding.astype(np.float32),
        )

"""The lip-audio contrast: the loss of the pair, and how well it finds the true offset."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

F32 = npt.NDArray[np.float32]

WINDOW = 25
"""Pictures that are compared at a time: a second."""
REACH = 15
"""Offsets tried are -REACH to REACH pictures, 31 in all."""


def offset_scores(audio: Tensor, lips: Tensor, window: int = WINDOW) -> Tensor:
    """Mean likeness of every window of sound to the lips at each offset.

    Args:
        audio: (B, T, D) unit vectors.
        lips: (B, T, D) unit vectors.
        window: pictures a window.

    Returns:
        (B, T - 2 REACH - window + 1, 31); the middle is no offset, higher ones are later lips.

    Raises:
        ValueError: the sequence is too short for one window and its offsets.
    """
    length = audio.shape[1]
    if length < window + 2 * REACH:
        raise ValueError(f"{length} pictures, expected at least {window + 2 * REACH}")
    inner = audio[:, REACH : length - REACH]
    rows = [
        (inner * lips[:, REACH + o : length - REACH + o]).sum(2) for o in range(-REACH, REACH + 1)
    ]
    likeness = torch.stack(rows, 1)
    return functional.avg_pool1d(likeness, window, 1).transpose(1, 2)


def info_nce(audio: Tensor, lips: Tensor, mask: Tensor, scale: Tensor) -> dict[str, Tensor]:
    """InfoNCE within clips (the true offset among 31) and across (the true clip in the batch).

    Args:
        audio, lips: (B, T, D) unit vectors.
        mask: (B, T), above 0 where the lips are those of the sound.
        scale: what likeness is multiplied by.
    """
    known = (mask > 0).float()
    length = audio.shape[1]
    usable = functional.avg_pool1d(known[:, None], WINDOW + 2 * REACH, 1)[:, 0] > 0.95
    score = offset_scores(audio, lips)[:, ::5] * scale
    target = torch.full(score.shape[:2], REACH, dtype=torch.long)
    each = functional.cross_entropy(score.transpose(1, 2), target, reduction="none")
    use = usable[:, ::5].float()
    within = (each * use).sum() / use.sum().clamp(min=1)
    start = int(torch.randint(0, length - 2 * WINDOW, ()))
    cut = slice(start, start + 2 * WINDOW)
    likeness = torch.einsum("atd,btd->ab", audio[:, cut], lips[:, cut]) / (2 * WINDOW) * scale
    rows = known[:, cut].mean(1) > 0.9
    if int(rows.sum()) < 2:
        return {"within": within, "across": within * 0}
    likeness = likeness[rows][:, rows]
    index = torch.arange(len(likeness))
    both = functional.cross_entropy(likeness, index) + functional.cross_entropy(likeness.T, index)
    return {"within": within, "across": both / 2}


def retrieval(audio: Tensor, lips: Tensor, use: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """(windows, hits): the highest of the 31 offsets lies within a picture of the true one.

    Args:
        audio, lips: (T, D) unit vectors of a clip.
        use: (T,) pictures of speech; a window counts where four fifths of it are.
    """
    if len(audio) < WINDOW + 2 * REACH:
        return 0, 0
    best = offset_scores(audio[None], lips[None])[0].argmax(1).numpy() - REACH
    speech = np.convolve(use[REACH : len(use) - REACH], np.ones(WINDOW), "valid") / WINDOW
    counted = speech[: len(best)] >= 0.8
    return int(counted.sum()), int((np.abs(best) <= 1)[counted].sum())

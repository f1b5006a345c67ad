"""The command `visavis train`: hands over to the trainings, which need the extra `train`."""

import logging
from collections.abc import Sequence
from importlib import import_module

from engine.errors import BackendError, ConfigError

TRAININGS = {
    "data": ("models.data.command", "a folder of talking videos -> labels that all trainings read"),
    "face": ("models.train.face", "landmark tracks -> mean face and lip basis (face.npz)"),
    "faceshape": ("models.train.faceshape", "landmark tracks -> identity and expression modes"),
    "expression": ("models.train.expression", "autoencoder: lip code, blink code and the rest"),
    "speech": ("models.train.speech", "synthetic speech with exact times and lips"),
    "align": ("models.train.speech.align", "times of the sounds in real speech with known words"),
    "shapes": ("models.train.speech.coarticulation", "what lips do for each sound (shapes.npz)"),
    "lips": ("models.train.lips", "lip network: from sound to lip code and lip embedding"),
    "landmarks": ("models.train.landmarks", "face detector and network of its 478 landmarks"),
    "windows": ("bench.reenact.command", "footage, stills and heads -> windows to paint"),
    "render": ("models.train.render", "render network: paints the mouth over the guide"),
    "motion": ("models.train.motion", "motion network: head pose and blinks to go with speech"),
    "matte": ("models.train.matte", "matting network: the person apart from the background"),
}
"""What can be trained: its module, whose `main(argv)` is the command, and what it is."""

GUIDE = """\
Each training has verbs of its own: `visavis train lips --help`. A usual course, from a folder of
talking videos (FOOTAGE) and recorded speech (WAVS) to two networks that the engine runs:

  visavis train data prepare FOOTAGE LABELS
  visavis train speech write FEATURES
  visavis train lips prepare LABELS FEATURES --speech WAVS
  visavis train lips hear LABELS FEATURES HEARING --preset quick
  visavis train lips train LABELS FEATURES RUN --hearing HEARING --preset quick
  visavis train lips pair LABELS FEATURES RUN
  visavis train lips evaluate LABELS RUN
  visavis train lips export LABELS RUN lips.onnx --sync sync.npz
  visavis train motion train LABELS MOVING --preset quick
  visavis train motion export LABELS MOVING motion.onnx

and to the network that paints the mouth, from the same footage, labelled portraits (STILLS) and
synthetic heads (HEADS):

  visavis train windows clips FOOTAGE LABELS SAMPLES
  visavis train windows stills STILLS STILL_LABELS SAMPLES
  visavis train windows heads HEADS SAMPLES
  visavis train render train SAMPLES TEACHER
  visavis train render distil SAMPLES TEACHER STUDENTS
  visavis train render score SAMPLES STUDENTS/1
  visavis train render export STUDENTS/1 FOLDER

and to the two that find faces and landmarks, from pictures that MediaPipe labelled:

  visavis train landmarks pack PACK --stills STILLS STILL_LABELS --clips FOOTAGE LABELS
    --heads HEADS SEEN --backgrounds FOLDER
  visavis train landmarks train landmarks PACK POINTS --device cuda
  visavis train landmarks train detector PACK FACES --device cuda
  visavis train landmarks export landmarks POINTS FOLDER
  visavis train landmarks export detector FACES FOLDER

and to the one that tells a person from the background, from pictures labelled by
`python -m models.label.segment` (CUT) and the same heads:

  visavis train matte pack CUT --heads HEADS --out pack.npz
  visavis train matte train pack.npz CUTTING
  visavis train matte score CUTTING CUT --heads HEADS
  visavis train matte export CUTTING matte.onnx

HEARING, RUN, MOVING, TEACHER, STUDENTS/1, POINTS, FACES and CUTTING are folders: config.json holds
the settings, weights.pt the weights, curve.csv the losses for a spreadsheet, checkpoint.pt the
place where a training that was broken off goes on when its command is given again. `visavis bench
quality` measures what came out.
"""
_log = logging.getLogger(__name__)


def run(name: str, argv: Sequence[str]) -> int:
    """Runs one training's command line.

    Raises:
        BackendError: a package that trains is not installed.
        ConfigError: the training refuses its input or settings.
    """
    try:
        module = import_module(TRAININGS[name][0])
        module.main(list(argv))
    except ImportError as error:
        raise BackendError(
            f"`visavis train {name}` needs {error.name or error}, which is not installed: "
            "`make venv-train`, then .venv-train/bin/visavis"
        ) from error
    except (ValueError, FileNotFoundError) as error:
        _log.info("where it was refused:", exc_info=True)
        raise ConfigError(f"train {name}: {error}") from error
    return 0

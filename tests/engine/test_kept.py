import gc
import weakref

import numpy as np

from engine.avatar import find
from engine.config import EngineConfig
from engine.frames import Pcm
from engine.kept import kept_with_first
from engine.pipeline import Pipeline
from engine.renderer import rig_of


class Key:
    pass


def test_a_value_is_made_once_for_its_arguments():
    made = []

    @kept_with_first
    def double(key: Key, number: int) -> int:
        made.append(number)
        return 2 * number

    one, other = Key(), Key()
    assert [double(one, 1), double(one, 1), double(one, 2), double(other, 1)] == [2, 2, 4, 2]
    assert made == [1, 2, 1]


def test_nothing_of_an_avatar_stays_when_it_is_gone():
    avatar = find("maya")
    pipeline = Pipeline(avatar, EngineConfig(size_px=256))
    pipeline.push(Pcm(0, np.zeros(9600, np.int16)))
    rig = rig_of(avatar, 256)
    assert rig_of(avatar, 256) is rig
    left = weakref.ref(avatar), weakref.ref(rig)
    del avatar, pipeline, rig
    gc.collect()
    assert [there() for there in left] == [None, None]

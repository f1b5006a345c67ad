"""Self-reenactment: what the engine draws of one picture of a person, led by the landmarks of
another, beside that other picture.

`bench quality` measures with it, and the render network learns from it.
"""

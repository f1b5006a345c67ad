"""Synthetic heads for training: people nobody is, in pictures whose every landmark is known.

Reading what was made (`store`), the landmark map (`landmarks`) and drawing people's traits from a
seed (`traits`) need numpy alone; making pictures needs `bpy`. See `models/synth/README.md`.
"""

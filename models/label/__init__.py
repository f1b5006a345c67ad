"""Offline labelling of footage; needs an environment of its own (mediapipe 0.10.21, numpy < 2)."""

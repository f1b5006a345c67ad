"""Offline labelling of footage, by our own networks or by MediaPipe in an environment of its own
(mediapipe 0.10.21, numpy < 2)."""

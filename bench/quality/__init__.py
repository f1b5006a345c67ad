"""`visavis bench quality`: what the engine makes of a sound against what its speaker did."""

from bench.quality.run import add_arguments, run

__all__ = ["add_arguments", "run"]

"""`python -m models.train.motion`; see the package."""

from models.train.motion import main

main()

"""From a folder of talking videos to training tensors; `python -m models.data` is the command."""

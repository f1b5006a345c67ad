"""From a folder of talking videos to training tensors; `visavis train data` is the command."""

"""CUDA sources and their wrappers; `kernels.dispatch` chooses between them and the CPU's path."""

"""Video frames and sound kernels: a plain CPU path now, CUDA sources beside them later."""

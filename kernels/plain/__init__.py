"""What each CUDA kernel computes, in NumPy and in the same order: for tests, not for speed."""

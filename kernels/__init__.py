"""Video frames and sound kernels: on the CPU, and on a GPU; see `kernels.dispatch`."""

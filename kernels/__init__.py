"""Ops on pixels, each with its torch reference here; the Triton kernels are in view_triton.py, the compiled twins in csrc/."""

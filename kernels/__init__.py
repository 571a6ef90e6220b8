"""Ops on pixels, each with its torch reference; Triton kernels are in view_triton.py, C++ and CUDA ones in csrc/."""

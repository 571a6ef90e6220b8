"""Benchmarks of kit against what a user would otherwise use."""

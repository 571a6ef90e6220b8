"""Placeholder until the build lands: the package layout only."""

from setuptools import setup

setup(
    packages=["kit", "kit.images", "kit.model", "kit.profiles", "kit.challenge", "kit.kernels"],
    package_dir={"kit": "kit", "kit.kernels": "kernels"},
    package_data={"kit": ["recipes/*.toml"]},
)

"""Builds the two optional C kernels; without a compiler the package installs and uses its other paths."""

from pathlib import Path

from setuptools import Extension, setup

KERNELS = {"cleanroom.oprf._kernel": "cleanroom/oprf/_kernel.c", "bidder.dsp._score": "bidder/dsp/_score.c"}

setup(
    ext_modules=[
        Extension(
            name,
            [source],
            depends=[str(p) for p in sorted(Path(source).parent.glob("*.h"))],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=["-O3", "-std=c11"],
            py_limited_api=True,
            optional=True,
        )
        for name, source in KERNELS.items()
        if Path(source).exists()
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)

"""imgbuild: a build tool for generated images. Opening this package imports nothing heavy."""

__version__ = "0.1.0"

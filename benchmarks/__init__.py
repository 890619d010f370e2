"""What imgbuild's speed is held to, measured beside its peers: `python -m benchmarks`."""

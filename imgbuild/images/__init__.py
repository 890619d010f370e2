"""Pixels, by libvips: what a file is, derived files, placeholder cards, provenance."""

CARD_VERSION = "1"
"""Rises when a placeholder card looks different. Here, so that keys can be made without loading libvips."""

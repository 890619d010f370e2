"""Disk: content-addressed blobs, result records, locks and atomic writes."""

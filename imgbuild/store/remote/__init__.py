"""A cache that machines share: blobs and records behind one small interface, and nothing believed unseen."""

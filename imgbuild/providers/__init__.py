"""The network: one file a dialect, behind one Provider interface."""

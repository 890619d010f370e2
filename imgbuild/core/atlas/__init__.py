"""Atlases: many pictures on few pages, and the tables that tell engines and pages where each one lies."""

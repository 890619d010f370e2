"""A session that builds whenever something that decides about images was changed."""

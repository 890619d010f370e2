"""Pages to look at images: their data, style and script apart, put together by one pure function."""

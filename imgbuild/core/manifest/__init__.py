"""From the manifest's text to images: read, validate, expand, check; every value keeps its place."""

"""Words and pictures for people: events in, text out."""

"""A local server that speaks the HTTP dialects, with a ledger of charges."""

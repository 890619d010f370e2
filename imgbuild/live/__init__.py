"""The gallery's page as a session's window: it shows what goes on, and asks for what the commands do."""

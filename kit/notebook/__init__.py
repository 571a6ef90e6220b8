"""What a notebook of the challenge needs around kit: attached inputs that are read-only, and sessions that end."""

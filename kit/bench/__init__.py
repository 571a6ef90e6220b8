"""What the kit costs, against what a user would take instead."""

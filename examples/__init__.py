"""Examples a user would run."""

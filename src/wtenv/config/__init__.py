"""The config: what its files may say, and the one effective config they give; and the user's own settings."""

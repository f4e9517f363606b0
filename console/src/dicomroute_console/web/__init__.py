"""Templates, styles and what is served as it is. No handler lives here."""

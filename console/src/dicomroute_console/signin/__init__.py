"""Who asks: sessions, and what keeps pages of others from asking in a person's name."""

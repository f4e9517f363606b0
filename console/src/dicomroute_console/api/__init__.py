"""The user API: what the pages show and do, in JSON, for programs. Whatever a page may not, it may not either."""

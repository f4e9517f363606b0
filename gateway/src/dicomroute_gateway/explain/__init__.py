"""A dry run: what a configuration would do with an instance, and why. Nothing is kept, and nothing is sent.

For the command line, which has manifests and a file, and for the admin API, whose caller has the file.
"""

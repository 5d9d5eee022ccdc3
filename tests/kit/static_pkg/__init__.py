"""A package with a folder of static files."""

"""A small app in a folder of its own, without src."""

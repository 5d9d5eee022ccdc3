"""The hosts that `make bench NAME=host` compares, each a process of its own: `python HOST.py ADDRESS GROUP COUNT …`."""

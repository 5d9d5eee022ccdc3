"""The HTTP kit: what every web-facing part of the house shares. Knows no domain."""

"""Replies → mails, and the delivery ledger → the relay."""

"""Mailboxes that are read over IMAP: who reads which, what was read, and what becomes of it."""

"""Every limit on what comes in, in one place. Sizes in bytes unless said otherwise.

The numbers for mail come from measurements of what hurts Python's `email` package: nesting of 1,000 parts
or 20,000 addresses in one field cost seconds or end in RecursionError.
"""

from datetime import timedelta

# Texts, in characters
SUBJECT_CHARS = 998
NAME_CHARS = 256
ADDRESS_CHARS = 320
TEXT_CHARS = 64 * 1024
"""What an event carries of a text; the rest stays in the raw payload, and the flag `partial` says so."""
ATTRIBUTES = 64
ATTRIBUTE_CHARS = 4096

# Mail
MAIL_BYTES = 25 * 1024 * 1024
MAIL_HEADER_BYTES = 256 * 1024
MAIL_HEADERS = 1000
MAIL_DEPTH = 50
MAIL_PARTS = 500
MAIL_ADDRESSES = 500
MAIL_REFERENCES = 100
MAIL_TEXT_PART_BYTES = 1024 * 1024
"""What is read of one text part."""
MAIL_EVENT_HEADER_CHARS = 64 * 1024
"""What an event carries of the header fields, in characters; the rest stays in the raw mail."""
PARSE_TIMEOUT = timedelta(seconds=2)

# Chat
CHAT_FRAME_BYTES = 16 * 1024
CHAT_TEXT_CHARS = 8000

# Web forms
FORM_BYTES = 1024 * 1024
FORM_FIELDS = 64

# Phone log
CSV_ROW_BYTES = 64 * 1024
CSV_ROWS = 100_000

# JSON
JSON_DEPTH = 32

# Kafka: payloads above this travel by reference into the blob store
INLINE_BYTES = 64 * 1024
RECORD_BYTES = 1_000_000

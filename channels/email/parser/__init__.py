"""A mail's bytes → all that is known of it. Pure; runs in workers that can be killed."""

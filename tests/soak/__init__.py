"""A soak under a real cron daemon: seventeen jobs a minute, and whatever can fail around them."""

"""What a report says: the excerpt, the message, the masks, the numbers."""

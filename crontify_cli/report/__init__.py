"""What a report says: the excerpt of the log, the error message, masking, and the numbers."""

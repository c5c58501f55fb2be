"""Whether a message may and can reach a user. What to say, and whether it pays, lives in `strategy`."""

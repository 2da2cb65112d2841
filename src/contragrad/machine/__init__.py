"""What this machine has and lacks for a study, and what to do about it."""

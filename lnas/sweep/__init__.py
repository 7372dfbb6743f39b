"""Many runs as one experiment: its trials, who runs them, and what may be concluded."""

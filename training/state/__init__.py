"""What is kept of a run, and what a run that goes on must agree with."""

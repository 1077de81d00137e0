"""What the agent does when a command is permitted: one file for each kind of action."""

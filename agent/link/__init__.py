"""The link to the control plane: one attempt, the reconnect machine around it, and the spool behind it."""

"""The control plane: guards every call, keeps what was asked and done, and speaks with the agents."""

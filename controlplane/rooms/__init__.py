"""The rooms of the control plane: parts that belong together, each made of the rooms before it."""

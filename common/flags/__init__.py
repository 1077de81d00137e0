"""The validator's flags: what there is in which version, how an argument vector is read, and how it is changed."""

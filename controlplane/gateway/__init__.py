"""REST over the same RPCs: routes, transcoding and errors, all from the descriptors."""

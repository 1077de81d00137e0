"""The validator's configuration on this host: where its flags stand, how they are written, and the versions kept."""

"""What a validator's log says, as pure functions: lines, datapoints, and the messages that mean something."""

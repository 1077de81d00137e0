"""The agents' live streams: who is connected, what comes up, what goes down."""

"""The demo: the main job, live, with real processes and mTLS on this machine."""

"""Long jobs of a host: each is solward-job@ID.service, outlives the agent, and is found again by its files."""

"""Views: what rich draws, from messages alone, so that they can be drawn anywhere."""

"""Login at an OpenID Connect provider."""

"""Who is who: the authority, enrollment, users, sessions and second factors."""

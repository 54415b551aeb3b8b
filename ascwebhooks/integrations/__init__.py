"""What runs inside a gateway, or knows how one speaks; needs nothing but ``redis``."""

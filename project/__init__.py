"""The web process and the wiring: settings, URLs, the API's envelope, health, the local runner."""

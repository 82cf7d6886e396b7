"""The web process and the wiring: settings, urls, the API's envelope, health, the local runner."""

"""The buyer's pages: thin templates whose scripts call the API."""

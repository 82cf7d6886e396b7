"""Between the server and Django: complete requests only, bounded in number; no connection blocks others."""

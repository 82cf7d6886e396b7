"""Between the server and Django: complete requests only, a bounded number at a time, and no connection that
keeps others waiting.
"""

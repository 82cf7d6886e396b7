"""Between the server and Django: lets only complete requests through, a bounded number at a time, and keeps
stalled connections from blocking others.
"""

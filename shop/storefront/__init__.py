"""The buyer's pages, in Chinese: thin pages whose script talks to the API."""

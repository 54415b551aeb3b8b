"""The network: the libcurl loop, the resolver and the address guard."""

"""The fast path: what a supernet and a derived network compute in training mode, with less work and less memory."""

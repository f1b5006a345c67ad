"""Calls spread over media processes, drawn by one render process: `visavis serve --workers N`.

The front answers HTTP and starts and watches the others. A media worker runs sessions: sound,
motion, encoding, transport. The render process draws for all of them; a second one stands by with
the same scenes open, and takes over where the first one ends. Nothing between them has a name that
others could open: sockets and shared memory are handed down, or sent, as descriptors.
"""

"""The way to the daemon: HTTP/1.1 over its socket, and the Engine API's manners on top."""

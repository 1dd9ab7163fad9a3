"""The line between managers and nodes: the only place where the two rooms meet.

Read in this order:

    messages        the words, with a session as a transcript
    words           who may say which of them
    link            the line as either end sees it, and its form inside a process
      wire          its form on a stream: a length, then msgpack
    calls           requests with bytes both ways, by the same code at both ends
      log_frames    lines of a log as such bytes
    tls             who is at the other end
      tokens, joining, join, signing    how a node gets its certificate
    listener        the managers' port
      pending       callers that have not said who they are, bounded: pure
      reuseport     the sockets that an address leads to
      refusals      what is said of callers that were refused
"""

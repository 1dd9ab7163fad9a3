"""A cluster of three nodes on this machine that serves a web page: `make demo`.

Everything is done by the `skep` command, and shown as it would be typed. It stays until
`make demo-stop`.

    story.py       what is shown, in order
    images.py      the two versions of the page, from Debian's busybox
    transcript.py  commands as they are typed, and what they answer
"""

"""Which files a process and all its children read, seen where the kernel opens them.

The watched process installs a seccomp filter that hands each opening of a file, each renaming
and each connection to a listener, and gives that listener to the process that watches. The
watcher looks at the arguments, lets the call go on unchanged, and keeps what it saw. Native
libraries, children and interpreters of other languages are seen like Python's own ``open``.
No privilege is needed. Where the kernel does not offer it, Python's audit events are kept
instead, and the result says so.

This records what honest code reads; it is no sandbox. A call's path is read from the caller's
memory before the kernel reads it, and another thread could change it in between.
"""

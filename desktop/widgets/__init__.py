"""The parts of the window. Each shows what it is given and says what the reviewer did; none knows the session."""

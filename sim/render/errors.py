"""What can go wrong in making pictures: one error type, one line of text."""


class RenderError(RuntimeError):
    """The renderer cannot start or draw; the text says why, in one line."""

"""The one thing that PyAV 18 cannot do: set the rate control buffer of an encoder that is open.

libx264 takes a new buffer size with the next picture, in place (libavcodec/libx264.c,
reconfig_encoder); PyAV has no setter for it before series 19, which needs a newer Python. So it
is set by FFmpeg's own option call on the context behind PyAV's object. Where that context lies is
an inside of PyAV: its series is checked when this is imported, and what is found there is checked
to be a codec context before it is touched.
"""

from __future__ import annotations

import ctypes

import av
import av.codec.context

AV_SERIES = "18."
_CONTEXT_AT = object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
"""Behind the object's head and the table of its C methods: `AVCodecContext *ptr`."""

_library = ctypes.CDLL(av.codec.context.__file__)
_set_option = _library.av_opt_set_int
_set_option.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int]
_get_class = _library.avcodec_get_class
_get_class.restype = ctypes.c_void_p


class PyAvChanged(ImportError):
    """Raised when PyAV is not the one that this was made for."""


def check_series(found: str = av.__version__) -> None:
    """Check that PyAV is of the series that this was made for.

    Raises:
        PyAvChanged: it is another.
    """
    if not found.startswith(AV_SERIES):
        raise PyAvChanged(f"av {AV_SERIES}x is needed, {found} is installed")


check_series()


def set_rate_buffer(context: av.VideoCodecContext, bits: int) -> None:
    """Set the rate control buffer of an open encoder; it counts from the next picture on.

    Raises:
        PyAvChanged: there is no codec context where PyAV keeps it.
    """
    address = ctypes.c_void_p.from_address(id(context) + _CONTEXT_AT).value
    if not address or ctypes.c_void_p.from_address(address).value != _get_class():
        raise PyAvChanged("no codec context where PyAV keeps it")
    if _set_option(address, b"bufsize", bits, 0) != 0:
        raise PyAvChanged("the encoder has no rate control buffer")

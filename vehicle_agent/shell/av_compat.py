"""The one thing that PyAV 18 cannot do: set the rate control's limits on an encoder that is open.

libx264 takes a new buffer size and greatest rate with the next picture, in place (libavcodec,
libx264.c, reconfig_encoder); PyAV has no setters before series 19, which needs a newer Python. So
they are set by FFmpeg's own option call on the context behind PyAV's object. Where that lies is an
inside of PyAV: its series is checked when this is imported, and what is found there is checked to
be a codec context before it is touched.
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


def set_rate_limits(context: av.VideoCodecContext, max_bps: int, buffer_bits: int) -> None:
    """Set greatest rate and buffer of an open encoder; they count from the next picture on.

    Raises:
        PyAvChanged: there is no codec context where PyAV keeps it.
    """
    address = ctypes.c_void_p.from_address(id(context) + _CONTEXT_AT).value
    if not address or ctypes.c_void_p.from_address(address).value != _get_class():
        raise PyAvChanged("no codec context where PyAV keeps it")
    for name, value in ((b"maxrate", max_bps), (b"bufsize", buffer_bits)):
        if _set_option(address, name, value, 0) != 0:
            raise PyAvChanged(f"the encoder has no {name.decode()}")

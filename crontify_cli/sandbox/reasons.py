"""Says in plain words why a connection failed."""

import os
import socket
import ssl

from crontify_cli.errors import in_words

_WITH_OWN_CODES = (ssl.SSLError, socket.gaierror)


def reason_of(error: BaseException) -> str:
    """Return the cause of a network error, as words."""
    cause = cause_of(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, _WITH_OWN_CODES):
        return os.strerror(cause.errno)  # asyncio's text only says that the call failed
    # Only the class says what has happened if there is no text.
    return in_words(cause) or str(error) or type(error).__name__


def cause_of(error: BaseException) -> BaseException:
    """Return the innermost error: libraries wrap it in others, whose texts do not name it."""
    while True:
        if isinstance(error, BaseExceptionGroup):  # one for each address of the host
            error = error.exceptions[0]
        elif following := error.__cause__ or error.__context__:
            error = following
        else:
            return error

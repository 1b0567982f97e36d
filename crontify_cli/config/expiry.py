"""When a user token ends, read from the token itself: nobody is asked."""

import base64
import json
import math


def expires_at(token: str) -> float | None:
    """Return the `exp` of a JSON Web Token, in seconds since the epoch (RFC 7519, 4.1.4).

    None where the text is no such token or has no end. The signature is not checked:
    that is the server's to do, and only it has the key.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        # base64url without its padding (RFC 7515, 2); too much of it is ignored.
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
        end = float(claims["exp"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    return end if math.isfinite(end) else None

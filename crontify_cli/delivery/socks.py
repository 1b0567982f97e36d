"""The dialogue with a SOCKS5 proxy (RFC 1928), with the parser of the package socksio."""

from socksio.socks5 import (
    SOCKS5AuthMethod,
    SOCKS5AuthMethodsRequest,
    SOCKS5Command,
    SOCKS5CommandRequest,
    SOCKS5Connection,
    SOCKS5ReplyCode,
    SOCKS5UsernamePasswordRequest,
)

from crontify_cli.delivery.network import ProxyFailure, Stream, connecting


def connect_through(
    stream: Stream, where: tuple[str, int], login: tuple[str, str] | None, until: float
) -> None:
    """Let the proxy at the other end of `stream` connect us to `where`, which it looks up itself.

    login: user and password, None for a proxy that asks for none.
    Raises Failure.
    """
    socks = SOCKS5Connection()

    def ask(request: object) -> object:
        socks.send(request)
        data = socks.data_to_send()
        with connecting():
            while data:
                data = data[stream.send(data, until) :]
            answer = b""
            while len(answer) < _length(request, answer):
                piece = stream.receive(until)
                if not piece:
                    break
                answer += piece
        try:
            return socks.receive_data(answer)
        except Exception as error:  # which ones it raises is not documented
            raise ProxyFailure("it did not answer as a SOCKS5 proxy") from error

    method = SOCKS5AuthMethod.USERNAME_PASSWORD if login else SOCKS5AuthMethod.NO_AUTH_REQUIRED
    if getattr(ask(SOCKS5AuthMethodsRequest([method])), "method", None) != method:
        raise ProxyFailure("it asks for no password" if login else "it asks for a password")
    if login:
        user, password = (text.encode() for text in login)
        if max(len(user), len(password)) > 255:
            raise ProxyFailure("its user or password is longer than 255 bytes")
        if not getattr(ask(SOCKS5UsernamePasswordRequest(user, password)), "success", False):
            raise ProxyFailure("wrong user or password")
    reply = ask(SOCKS5CommandRequest.from_address(SOCKS5Command.CONNECT, where))
    code = getattr(reply, "reply_code", None)
    if code != SOCKS5ReplyCode.SUCCEEDED:
        name = getattr(code, "name", "no reply").lower().replace("_", " ")
        raise ProxyFailure(f"it could not connect: {name}")


def _length(request: object, reply: bytes) -> int:
    """Return how many bytes the reply to a request has, as far as its beginning tells."""
    if not isinstance(request, SOCKS5CommandRequest):
        return 2
    if len(reply) < 5:
        return 5
    addresses = {1: 4, 3: 1 + reply[4], 4: 16}  # IPv4, a name, IPv6
    return 4 + addresses.get(reply[3], 0) + 2

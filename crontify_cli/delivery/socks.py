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
            answer = stream.receive(until)
        try:
            return socks.receive_data(answer)
        except Exception as error:  # which ones it raises is not documented
            raise ProxyFailure("it did not answer as a SOCKS5 proxy") from error

    method = SOCKS5AuthMethod.USERNAME_PASSWORD if login else SOCKS5AuthMethod.NO_AUTH_REQUIRED
    if getattr(ask(SOCKS5AuthMethodsRequest([method])), "method", None) != method:
        raise ProxyFailure("it asks for no password" if login else "it asks for a password")
    if login:
        user, password = (text.encode() for text in login)
        if not getattr(ask(SOCKS5UsernamePasswordRequest(user, password)), "success", False):
            raise ProxyFailure("wrong user or password")
    reply = ask(SOCKS5CommandRequest.from_address(SOCKS5Command.CONNECT, where))
    code = getattr(reply, "reply_code", None)
    if code != SOCKS5ReplyCode.SUCCEEDED:
        name = getattr(code, "name", "no reply").lower().replace("_", " ")
        raise ProxyFailure(f"it could not connect: {name}")

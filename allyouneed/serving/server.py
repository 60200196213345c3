"""The server's process: its socket, its signals, its end."""

import ipaddress
import logging
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.serving.settings import ServingSettings

BACKLOG = 256
CLOSING = 5  # seconds for sending the last answers


def serve(open_run: Callable[[], Any], name: str | Path, host: str, port: int, settings: ServingSettings) -> bool:
    """Serves until SIGTERM or SIGINT; whether all that had been accepted was answered.

    The socket is bound before the run is opened, so that a taken port is known at once, and port 0 is a free one.
    """
    require()
    with closing(bind(host, port)) as listener:
        from allyouneed.serving.app import create_app

        app = create_app(open_run(), settings)
        try:
            listener.listen(BACKLOG)
        except OSError as error:
            raise _taken(host, port, error) from None
        _greet(name, listener)
        return _run(app, listener, settings)


def require() -> None:
    """UserError where the packages of the extra `serve` are missing."""
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"serving needs FastAPI and uvicorn, and {error.name} is not there; "
            'install them with: pip install "fastapi>=0.130" "uvicorn>=0.40"'
        ) from None


def bind(host: str, port: int) -> socket.socket:
    """A socket of this address, not yet listening; UserError where it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UserError(f"--host {host} is no address of this machine ({error}); try 127.0.0.1") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _taken(host, port, error) from None
    return listener


def _taken(host: str, port: int, error: OSError) -> UserError:
    return UserError(
        f"cannot listen on {host} port {port} ({error.strerror or error}); choose another --port, or 0 for a free one"
    )


def _greet(name: str | Path, listener: socket.socket) -> None:
    warn_of_others(listener)
    print(f"serving {name} at {address(listener)} (POST /translate, GET /health, GET /model)", file=sys.stderr)
    sys.stderr.flush()


def address(listener: socket.socket) -> str:
    """What to open in a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def warn_of_others(listener: socket.socket) -> None:
    """Says so where other machines can reach it."""
    host = listener.getsockname()[0]
    if not ipaddress.ip_address(host.split("%")[0]).is_loopback:
        print(
            f"warning: {host} can be reached from other machines, and there is no password and no encryption; "
            "put a proxy before it that has both, or leave --host at 127.0.0.1",
            file=sys.stderr,
        )


def _run(app: Any, listener: socket.socket, settings: ServingSettings) -> bool:
    import uvicorn

    batcher = app.state.service.batcher

    class Server(uvicorn.Server):
        """Told to stop, it goes on listening, to answer 503, until what is queued is done; told again, it gives up."""

        give_up: float | None = None
        left = 0

        def handle_exit(self, sig: int, frame: Any) -> None:
            self.give_up = time.monotonic() + settings.drain if self.give_up is None else 0.0

        async def on_tick(self, counter: int) -> bool:
            if self.give_up is not None:
                batcher.close()  # not in the signal's handler, which may have interrupted who holds the lock
                if not batcher.unfinished or time.monotonic() > self.give_up:
                    self.left, self.should_exit = self.left + batcher.abandon(), True
            return await super().on_tick(counter)

    # Requests are not logged: no text of a user ends in a file by accident.
    logging.getLogger("allyouneed.serving").addHandler(logging.StreamHandler())
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="on", ws="none",
        backlog=BACKLOG, timeout_graceful_shutdown=CLOSING,
    )  # fmt: skip
    server = Server(config)
    server.run(sockets=[listener])
    said = f"{server.left} sentences were given up" if server.left else "all was answered"
    print(f"stopped; {said}", file=sys.stderr)
    return not server.left

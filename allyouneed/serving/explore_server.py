"""The process of a live explorer: its socket, the browser that it opens, its end."""

import logging
import os
import sys
import threading
import webbrowser
from contextlib import closing
from pathlib import Path

from allyouneed.serving.explore import Explorer, create_explorer
from allyouneed.serving.server import address, bind, warn_of_others


def serve(explorer: Explorer, name: str | Path, host: str, port: int, open_: bool | None) -> None:
    """Serves until Ctrl-C or SIGTERM. `open_`: whether a browser is opened; None: where one can be expected."""
    import uvicorn

    with closing(bind(host, port)) as listener:
        listener.listen()
        warn_of_others(listener)
        url = f"{address(listener)}/{explorer.token}/"
        print(f"{name} can be explored at {url}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
        if open_ or (open_ is None and _has_browser()):
            threading.Timer(0.3, webbrowser.open, [url]).start()
        # Requests are not logged: no input of a user ends in a file by accident.
        logging.getLogger("allyouneed.serving").addHandler(logging.StreamHandler())
        config = uvicorn.Config(
            create_explorer(explorer), log_level="warning", access_log=False, server_header=False, ws="none",
            timeout_graceful_shutdown=2,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listener])


def _has_browser() -> bool:
    """A person at a screen: not a script, a container, or a machine that is reached by ssh."""
    screen = sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return screen and sys.stderr.isatty()

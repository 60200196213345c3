"""The explorer in a notebook: a frame that holds the whole page, so that nothing needs to be installed or fetched.

The frame is shut off from the notebook (`sandbox`): the page may run its script and save files, and nothing more.
"""

from allyouneed.errors import UserError
from allyouneed.tracing.svg import escape

HEIGHT = 760


def frame(page: str, height: int = HEIGHT) -> str:
    """The page inside an element that any notebook shows, also one saved and opened again."""
    style = f"width:100%;height:{int(height)}px;border:0"
    allowed = "allow-scripts allow-downloads"
    return f'<iframe title="explorer of a trace" sandbox="{allowed}" style="{style}" srcdoc="{escape(page)}"></iframe>'


def show(page: str, height: int = HEIGHT) -> None:
    """Displays it. UserError outside of a notebook."""
    try:
        from IPython import get_ipython  # type: ignore[import-not-found,unused-ignore]
        from IPython.display import HTML, display  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        shell = None
    else:
        shell = get_ipython()
    if not hasattr(shell, "kernel"):
        raise UserError(
            "this is no Jupyter notebook, so there is nowhere to show the trace; write the page with "
            "`open('trace.html', 'w', encoding='utf-8').write(trace.html())` and open it in a browser"
        )
    display(HTML(frame(page, height)))

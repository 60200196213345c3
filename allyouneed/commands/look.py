"""A model at work, seen: the explorer, live or as one page, and pictures for papers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from allyouneed.commands.options import Beam, Penalty

Seen = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a trace that --save wrote.")]
Input = Annotated[
    str | None,
    typer.Option("--input", help="What the model is to read: a text, or an image file; - is standard input."),
]


def explore(
    run: Seen,
    input_: Input = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="HTML file to write, complete in itself; nothing is served then.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Trace file to write, which explore and picture read.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="RUN", help="A second run, or trace, shown beside the first.")
    ] = None,
    beam: Beam = None,
    length_penalty: Penalty = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one and says it.")] = 0,
    open_: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open the page in a browser; without either, where there is one."),
    ] = None,
) -> None:
    """See a model at work in a page: every layer and head, the search, positions, shapes. Live, or as one file."""
    from allyouneed.recipes.explore import opened, traces_of
    from allyouneed.recipes.use import check_output

    check_output(output)
    check_output(save)
    options = {"beam": beam, "length_penalty": length_penalty}
    places = [opened(place) for place in (run, compare) if place is not None]
    traces = traces_of(places, _read(input_), options, live=output is None and save is None)
    _write(traces, output, save)
    if output is None and save is None:
        _serve(run, places, traces, host, port, open_)


def _read(given: str | None) -> str | None:
    """What was given, or standard input for `-`."""
    from allyouneed.recipes.use import read_input

    return "\n".join(read_input("-")) if given == "-" else given


def _write(traces: list[Any], output: Path | None, save: Path | None) -> None:
    if save is not None:
        print(f"written: {traces[0].save(save)}")
    if output is not None:
        from allyouneed.tracing.page import write_whole

        write_whole(output, traces[0].html(other=traces[1] if len(traces) > 1 else None))
        print(f"written: {output}")


def _serve(name: Path, places: list[Any], traces: list[Any], host: str, port: int, open_: bool | None) -> None:
    from allyouneed.serving.server import require

    require()
    from allyouneed.recipes.explore import invitation
    from allyouneed.serving.explore import Explorer, Looker
    from allyouneed.serving.explore_server import serve

    begun = {"example": traces[0].manifest.input} if traces[0].manifest.input else {}
    lookers = [Looker(place.run.look, {**invitation(place.run), **begun}) for place in places if place.run]
    other = traces[1] if len(traces) > 1 and traces[1].manifest.relations else None
    serve(Explorer(lookers, lambda live: traces[0].html(live, other), host), name, host, port, open_)


def picture(
    run: Seen,
    output: Annotated[Path, typer.Option("--output", help="The file to write; its ending says svg, png or pdf.")],
    what: Annotated[
        str,
        typer.Option(
            "--what", help="attention, heads, lines, positions, beam, halting, image, rollout; curves: how it learned."
        ),
    ] = "attention",
    input_: Input = None,
    relation: Annotated[
        str | None, typer.Option("--relation", help="Which attention: encoder, decoder, cross, self; else the first.")
    ] = None,
    layer: Annotated[int, typer.Option("--layer", min=1, help="Layer, counted from 1.")] = 1,
    head: Annotated[
        int | None, typer.Option("--head", min=1, help="Head, counted from 1; without it the mean of all.")
    ] = None,
    query: Annotated[
        int | None, typer.Option("--query", min=1, help="Item that looks, counted from 1: a piece, or a patch.")
    ] = None,
    width: Annotated[float | None, typer.Option("--width", help="Width in millimetres.")] = None,
    beam: Beam = None,
    length_penalty: Penalty = None,
) -> None:
    """Draw what a model did with an input, or how it learned, as a picture that a paper can print."""
    from allyouneed.recipes.explore import check_counts, draw_curves, opened, traces_of
    from allyouneed.recipes.use import check_output

    check_output(output)
    if what == "curves":
        draw_curves(run, output, width)
    else:
        options = {"beam": beam, "length_penalty": length_penalty}
        trace = traces_of([opened(run)], _read(input_), options)[0]
        check_counts(trace, relation, layer, head, query)
        trace.plot(what, relation, layer - 1, _from_0(head), _from_0(query), output, width)
    print(f"written: {output}")


def _from_0(number: int | None) -> int | None:
    """People count from 1."""
    return None if number is None else number - 1

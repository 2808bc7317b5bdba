"""`evolve scripted-model`: a model server without a model."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def scripted_model(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")
    ] = 0,
    latency: Annotated[
        float, typer.Option(min=0, help="Seconds for each reply.")
    ] = 0.0,
    spread: Annotated[
        float, typer.Option(min=0, help="Sigma of log-normal latencies.")
    ] = 0.0,
    fail_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of 429 and 500.")
    ] = 0.0,
    bad_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of unusable replies.")
    ] = 0.0,
    key: Annotated[
        str | None, typer.Option(help="The only API key that is accepted.")
    ] = None,
    context: Annotated[
        int, typer.Option(min=1, help="Longest prompt, in tokens.")
    ] = 128_000,
    fail: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=SHARE of busy, broken, hang, trickle, reset, empty, refusal, garbage, no_usage, "
            "overcharge; repeatable."
        ),
    ] = None,
    retry_after: Annotated[
        float, typer.Option(min=0, help="Seconds that a 429 asks for.")
    ] = 0.0,
    hang: Annotated[
        float, typer.Option(min=0, help="Seconds of a hang or trickle.")
    ] = 3600.0,
    cached: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of prompt tokens reported as cached."),
    ] = 0.0,
) -> None:
    """Serve a scripted model on loopback, for trying out everything without costs.

    Prints the name to pass to --model.
    """
    from evolve.scripted import Script, serve

    serve(
        Script(
            latency,
            spread,
            fail_rate,
            bad_rate,
            key,
            context,
            _rates(fail or []),
            retry_after,
            hang,
            cached,
        ),
        port,
    )


def _rates(given: list[str]) -> dict[str, float]:
    from evolve.errors import UsageError, did_you_mean
    from evolve.plugins import parse_weights
    from evolve.scripted import FAILURES

    rates = parse_weights(given)
    for name in rates.keys() - FAILURES.keys():
        raise UsageError(f"invalid failure {name!r}", did_you_mean(name, FAILURES))
    return rates

"""The command that checks servers: serve-check."""

from absl import flags

from .command import DONE, FAILED, Command, UsageError, starting_quietly
from .model_flags import define_timeout


def _define_check(values: flags.FlagValues) -> None:
    flags.DEFINE_multi_string(
        "grpc",
        [],
        "HOST:PORT of a server's gRPC, then /NAME of the model, unless `r21d export` named it; "
        "several times for several servers",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "rest", [], "as --grpc, of its REST: http://HOST:PORT, then /NAME", flag_values=values
    )
    define_timeout(values, 60.0)


def _check(values: flags.FlagValues, positional: list[str]) -> int:
    if len(positional) != 1:
        raise UsageError("expected one folder: the --out of `r21d export`, or a version in it.")
    urls = [_with_scheme(url, "grpc") for url in values["grpc"].value]
    urls += [_with_scheme(url, "http") for url in values["rest"].value]
    from ..remote.urls import shown

    with starting_quietly():
        from ..serving.check import FAILED as WRONG
        from ..serving.check import LEFT_OUT, PASSED, check_files, check_server
        from ..serving.transport import address_of
        from ..serving.versions import version_in

    for url in urls:
        address_of(url)  # those that cannot be, before any is asked
    version, timeout_s = version_in(positional[0]), values["timeout_s"].value
    checked = {str(version): check_files(version, timeout_s)}
    checked |= {url: check_server(version, url, timeout_s) for url in urls}
    results = []
    for place, outcomes in checked.items():
        print(shown(place), flush=True)
        for outcome in outcomes:
            print(outcome, flush=True)
            results.append(outcome.result)
    counted = ", ".join(f"{results.count(kind)} {kind}" for kind in (PASSED, WRONG, LEFT_OUT))
    print(f"{len(results)} checks: {counted}.")
    if not urls:
        print("No server was asked; name one with --grpc=HOST:PORT or --rest=http://HOST:PORT.")
    return FAILED if WRONG in results else DONE


def _with_scheme(url: str, scheme: str) -> str:
    return url if "://" in url else f"{scheme}://{url}"


SERVER_COMMANDS = {
    "serve-check": Command(
        "ask a server, such as TensorFlow Serving, whether it answers as an export should",
        "DIR [--grpc=HOST:PORT] [--rest=http://HOST:PORT]",
        _define_check,
        _check,
    ),
}
"""By name."""

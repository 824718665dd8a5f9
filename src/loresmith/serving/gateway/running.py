"""The server: from an open ledger to a gateway that answers, and back."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from loresmith.errors import UserError
from loresmith.serving.gateway.app import behind_door, make_app
from loresmith.serving.gateway.connection import connections
from loresmith.serving.gateway.gateway import Gateway, Place
from loresmith.serving.settings import ServingConfig

if TYPE_CHECKING:
    import socket

    import uvicorn

    from loresmith.ledger import Ledger

TURN_SECONDS = 0.0005

_CONNECTIONS_WAITING = 2048


def serve(
    config: ServingConfig,
    ledger: Ledger,
    place: Place,
    say: Callable[[str], None],
    started: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; then answer what is under way, and nothing new.

    Args:
        started: told the address once the gateway answers.

    Raises:
        UserError: the configuration names something that is not there, or the address is taken.
        Failure: an engine does not start.
    """
    import uvloop

    # The audit's thread and others take turns with the event loop: a turn of 5 ms, Python's usual, is a long time here.
    sys.setswitchinterval(TURN_SECONDS)
    # The tokenizers' threads would halve the time of a long prompt, and cost all others a fifth more.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, ledger, place, say, started))


async def _serve(
    config: ServingConfig, ledger: Ledger, place: Place, say: Callable[[str], None], started: Callable[[str], None]
) -> None:
    gateway = Gateway(config, ledger, place, say)
    try:
        # What is wrong with these is told before models are loaded, which may take minutes.
        tls = _tls(config, place)
        with _bound(config) as bound:
            await gateway.start()
            server = _server(config, gateway, tls)
            server.config.load()
            _listen(bound, config)
            # What is there by now stays: to look through all of it for garbage would keep callers waiting for 100 ms.
            gc.collect()
            gc.freeze()
            scheme = "https" if tls else "http"
            host, port = bound.getsockname()[:2]
            started(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
            await server.serve(sockets=[bound])
    finally:
        gateway.draining = True
        await gateway.close()


def _tls(config: ServingConfig, place: Place) -> dict[str, Any]:
    """Which files uvicorn is to encrypt with; none where it is to speak in the clear."""
    import ssl

    listen = config.listen
    if listen.certificate is None or listen.key is None:
        return {}
    certificate, key = place.folder / listen.certificate, place.folder / listen.key
    for file in (certificate, key):
        if not file.is_file():
            raise UserError("there is no such file", where=str(file), hint="see `listen` in the configuration")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:  # the one is the other's base, but not of all that is raised here
        raise UserError(
            f"these are no certificate and its key: {getattr(error, 'reason', None) or error}",
            where=f"{certificate}, {key}",
            hint="`listen` takes PEM files: the certificate with its chain, and its key without a passphrase",
        ) from None
    return {"ssl_certfile": certificate, "ssl_keyfile": key}


def _server(config: ServingConfig, gateway: Gateway, tls: dict[str, Any]) -> uvicorn.Server:
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Stop at SIGINT and SIGTERM, as uvicorn does, without being ended by them once more afterwards."""
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._stop)
            try:
                yield
            finally:
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.remove_signal_handler(number)

        def _stop(self) -> None:
            if gateway.draining:
                self.force_exit = True  # asked twice
                return
            gateway.draining = True
            gateway.say(f"ending: {sum(model.users for model in gateway.models.all())} answers are under way")
            self.should_exit = True

    listen = config.listen
    settings = uvicorn.Config(
        behind_door(make_app(gateway), gateway),
        host=listen.host,
        port=listen.port,
        http=connections(config.limits.head_seconds),
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_CONNECTIONS_WAITING,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=round(config.limits.drain_seconds),
        **tls,
    )
    return Server(settings)


def _bound(config: ServingConfig) -> socket.socket:
    """The socket that is to be listened at. Until then, whoever comes is turned away."""
    import socket

    listen = config.listen
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    # With its protocol named, so that event loops know it for TCP and send small pieces at once.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listen.host, listen.port))
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise _unheard(error, config) from error
    return bound


def _listen(bound: socket.socket, config: ServingConfig) -> None:
    try:
        bound.listen(_CONNECTIONS_WAITING)
    except OSError as error:  # somebody was quicker
        raise _unheard(error, config) from error


def _unheard(error: OSError, config: ServingConfig) -> UserError:
    import socket

    where = f"{config.listen.host}:{config.listen.port}"
    if isinstance(error, socket.gaierror):
        return UserError("there is no such address", where=where)
    return UserError(
        f"one cannot listen there: {error.strerror}",
        where=where,
        hint="choose another port by `--port`, or by `listen.port` of the configuration; 0 is any",
    )

"""The emulator as its users hold it: settings, a running server, and hands on its inside."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.emulator.access import By, Denial
from app.emulator.application import Application
from app.emulator.budgets import Budgets
from app.emulator.clock import Clock
from app.emulator.control import ControlApi
from app.emulator.faults import Programme
from app.emulator.federation import AUDIENCE, LIFETIME, Federation, usual_subject
from app.emulator.issuing import authority, tls_context
from app.emulator.login import Login, Registration
from app.emulator.roles import Assignment
from app.emulator.serving import Listener, listen, serving
from app.emulator.state import Call, State
from app.emulator.tokens import Tokens
from app.emulator.vaults import Vault

TENANT_ID = "11111111-1111-1111-1111-111111111111"
CLIENT_ID = "22222222-2222-2222-2222-222222222222"
CLIENT_SECRET = "embedded-key-vault-secret"  # noqa: S105 - known to all, worth nothing outside
IDENTITY_HEADER = "embedded-key-vault-identity"


class Emulator:
    """An embedded Key Vault. Making one does no I/O.

    client_secret is what the application client_id of the tenant proves itself with; clock can
    be any movable clock; budgets switch throttling on; control opens the control API under
    /_control/.
    """

    def __init__(
        self,
        *,
        client_secret: str = CLIENT_SECRET,
        tenant_id: str = TENANT_ID,
        client_id: str = CLIENT_ID,
        clock: Clock | None = None,
        budgets: Budgets | None = None,
        control: bool = False,
    ) -> None:
        self.tenant_id = tenant_id
        self.client_id = client_id
        self.client_secret = client_secret
        self.identity_header = IDENTITY_HEADER
        self.controlled = control
        self.clock = clock or Clock()
        own = Registration(client_secret=client_secret, subject=usual_subject(client_id))
        self.state = State(clock=self.clock, budgets=budgets, registered={client_id: own})
        self.tokens = Tokens(tenant_id=tenant_id, clock=self.clock)
        self._federation = Federation(tokens=self.tokens, clock=self.clock)
        # clients check TLS by their own clock, so the emulator's does not count here
        self._ca = authority(now=time.time())
        self._application = Application(
            state=self.state,
            login=self._login(),
            tokens=self.tokens,
            control=ControlApi(self.state, self._federation) if control else None,
        )
        self._tls: Listener | None = None
        self._plain: Listener | None = None

    def _login(self) -> Login:
        return Login(
            tenant_id=self.tenant_id,
            client_id=self.client_id,
            identity_header=self.identity_header,
            applications=self.state.applications,
            tokens=self.tokens,
            federation=self._federation,
            clock=self.clock,
        )

    # ---- running

    @contextmanager
    def running(
        self, *, host: str = "127.0.0.1", port: int = 0, plain_port: int | None = None
    ) -> Iterator["Emulator"]:
        """Serve in a thread of its own until the block ends; 0 means any free port.

        plain_port also opens the plain HTTP endpoint of the managed identities.
        """
        if self._tls is not None:
            raise RuntimeError("the emulator is already running")
        try:
            self._tls = listen(host, port, tls_context(self._ca, now=time.time()))
            if plain_port is not None:
                self._plain = listen(host, plain_port, None)
            with serving(self._application, self._listeners()):
                yield self
        finally:
            for listener in self._listeners():
                listener.bound.close()
            self._tls = self._plain = None

    def _listeners(self) -> list[Listener]:
        return [listener for listener in (self._tls, self._plain) if listener is not None]

    @property
    def port(self) -> int:
        """The TLS port. Raises RuntimeError unless running."""
        if self._tls is None:
            raise RuntimeError("the emulator is not running")
        return self._tls.port

    @property
    def plain_port(self) -> int | None:
        """The plain HTTP port, if one was asked for."""
        return self._plain.port if self._plain else None

    @property
    def ca_pem(self) -> str:
        """The CA to trust, as PEM."""
        return self._ca.pem

    def write_ca(self, path: str | Path) -> None:
        """Write the CA to a file."""
        Path(path).write_text(self.ca_pem, encoding="ascii")

    # ---- what a test does to it

    @property
    def faults(self) -> Programme:
        """The fault programme."""
        return self.state.faults

    def deny(
        self,
        vault: str | None = None,
        action: str | None = None,
        by: By = "rbac",
        *,
        client_id: str | None = None,
    ) -> None:
        """Forbid a data action; None stands for every vault, action or caller."""
        self.state.denials.append(Denial(vault=vault, action=action, by=by, client_id=client_id))

    def assign(
        self,
        client_id: str,
        role: str | Iterable[str],
        vault: str | None = None,
        name: str | None = None,
    ) -> None:
        """Give an application a role: built in by Azure's name, or a set of data actions.

        From then on it may do only what its roles allow. Raises ValueError for an application,
        role or data action that does not exist, as Azure refuses to make it.
        """
        chosen = role if isinstance(role, str) else tuple(role)
        self.state.assign(Assignment(client_id=client_id, role=chosen, vault=vault, name=name))

    def allow_all(self) -> None:
        """Forbid nothing any more: no denials and no roles."""
        self.state.allow_all()

    def throttle(self, budgets: Budgets | None) -> None:
        """Admit so many requests from now on; None admits all."""
        self.state.meter.set(budgets)

    def slow_deletion(self, seconds: float) -> None:
        """Let a soft delete take so long, by the emulator's clock (normally no time)."""
        self.state.deletion_seconds = seconds

    def add_identity(
        self, client_id: str, client_secret: str, *, subject: str | None = None
    ) -> None:
        """Let another application log in, with its secret or a token of a subject it trusts."""
        self.state.register(client_id, client_secret, subject)

    def federated_token(
        self,
        *,
        client_id: str | None = None,
        subject: str | None = None,
        audience: str = AUDIENCE,
        seconds: float = LIFETIME,
    ) -> str:
        """A token of the emulator's own issuer, as Kubernetes projects one for a workload.

        It is for the subject that the application (the emulator's own, if None) trusts, unless
        another is given. Raises ValueError for an unknown application.
        """
        trusted = self.state.application(client_id or self.client_id).subject
        return self._federation.issue(
            subject=subject or trusted, audience=audience, seconds=seconds
        )

    def vault(self, name: str) -> Vault:
        """A vault by the first part of its host name, made on first use."""
        return self.state.vault(name)

    @property
    def calls(self) -> list[Call]:
        """Every request served, in order."""
        return list(self.state.calls)

    @property
    def writes(self) -> int:
        """How many requests changed something, dropped and falsely answered ones included."""
        return self.state.writes

    def reset(self) -> None:
        """Forget all but the CA, the port, the tokens and the application made with it."""
        self.state.reset()

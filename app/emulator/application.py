"""The ASGI application: one request in, one reply out, with faults, access and budgets between.

What follows what is decided in `_served` and `_performed`, nowhere else.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.types import Receive, Scope, Send

from app.emulator import access, api_versions, routes
from app.emulator.clouds import LOCAL_HOSTS, LOGIN_HOSTS, Cloud, vault_of
from app.emulator.effects import Answer, Drop, Effects
from app.emulator.headers import headers_of
from app.emulator.login import Login
from app.emulator.orders import Order, check_name
from app.emulator.refusals import Reason, Refusal, error_document, refusal
from app.emulator.state import Call, State
from app.emulator.tokens import Identity, Tokens
from app.emulator.wire import Reply, Request, read

Control = Callable[[Request], Reply | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """A request understood: how to name it and how to do it."""

    operation: str
    perform: Callable[[Effects], Reply]
    vault: str | None = None
    name: str | None = None
    version: str | None = None
    writes: bool = False


class Application:
    """Serves vaults, login service and (if given) the control API."""

    def __init__(
        self, *, state: State, login: Login, tokens: Tokens, control: Control | None = None
    ) -> None:
        self._state = state
        self._login = login
        self._tokens = tokens
        self._control = control
        self._routes = routes.table()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (only "http" scopes arrive: lifespan is off)."""
        request = await read(scope, receive)
        try:
            reply = await self._served(request)
        except asyncio.CancelledError:
            # the server stops and has cut the connection: nobody waits for this answer
            return
        if reply is None:
            await _drop(scope, receive)
        else:
            await _answer(request, reply, send)

    async def _served(self, request: Request) -> Reply | None:
        """The reply, or None for a dropped connection."""
        if self._control is not None:
            controlled = self._control(request)
            if controlled is not None:
                return controlled
        try:
            job = self._understood(request)
        except Refusal as refused:
            self._record(_Job(operation="challenge", perform=_nothing), refused.reply)
            return refused.reply
        effects = self._state.faults.take(job.operation, job.vault, job.name)
        if delay := effects.delay():
            await asyncio.sleep(delay)
        reply = self._performed(job, effects)
        self._record(job, reply)
        return reply

    def _performed(self, job: _Job, effects: Effects) -> Reply | None:
        early = effects.end(applied=False)
        if early is not None:
            return _ended(early)
        try:
            reply = job.perform(effects)
        except Refusal as refused:
            return refused.reply
        if job.writes:
            self._state.writes += 1
        late = effects.end(applied=True)
        return reply if late is None else _ended(late)

    def _record(self, job: _Job, reply: Reply | None) -> None:
        self._state.calls.append(
            Call(
                operation=job.operation,
                vault=job.vault,
                name=job.name,
                version=job.version,
                status=0 if reply is None else reply.status,
                at=self._state.clock.now(),
            )
        )

    # ---- understanding a request

    def _understood(self, request: Request) -> _Job:
        if not request.secure or _bare(request.host) in LOGIN_HOSTS | LOCAL_HOSTS:
            found = self._login.find(request)
            if found is not None:
                operation, serve = found
                return _Job(operation=operation, perform=lambda _: serve(request))
        target = vault_of(request.host) if request.secure else None
        if target is None:
            return _Job(operation="unknown", perform=lambda _: _unknown(request))
        return self._data_plane(request, *target)

    def _data_plane(self, request: Request, vault: str, cloud: Cloud) -> _Job:
        identity = self._identified(request, cloud)
        match = routes.find(self._routes, request.method, request.path)
        if match is None:
            return _Job(operation="unknown", perform=lambda _: _unknown(request), vault=vault)
        return _Job(
            operation=match.route.operation,
            perform=lambda effects: self._admitted(request, vault, identity, match, effects),
            vault=vault,
            name=match.name or None,
            version=match.version or None,
            writes=match.route.writes,
        )

    def _identified(self, request: Request, cloud: Cloud) -> Identity:
        """The caller. Raises Refusal (401) with the challenge."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer" or not token:
                raise refusal(Reason.MISSING_TOKEN)
            return self._tokens.check(token, audience=cloud.resource)
        except Refusal as refused:
            # `az` finds the login service at the vault's own address when that is localhost
            local = _bare(request.host) in LOCAL_HOSTS
            authority = f"https://{request.host if local else cloud.login}/{self._login.tenant_id}"
            challenge = f'Bearer authorization="{authority}", resource="{cloud.resource}"'
            header = ("WWW-Authenticate", challenge)
            reply = refused.reply
            raise Refusal(
                Reply(status=reply.status, document=reply.document, headers=(header,))
            ) from refused

    def _admitted(
        self,
        request: Request,
        vault: str,
        identity: Identity,
        match: routes.Match,
        effects: Effects,
    ) -> Reply:
        state, now = self._state, self._state.clock.now()
        attempt = access.Attempt(
            vault=vault,
            name=match.name or None,
            action=match.route.action,
            lists=match.route.operation.startswith("list_"),
            identity=identity,
            client=request.client,
        )
        state.meter.admit(vault, importing=match.route.operation == "import", now=now)
        access.check(state.denials, state.assignments, attempt)
        api_version = api_versions.known(request.query.get("api-version", ""))
        if match.name:
            check_name(match.name)
        store = state.vault(vault)
        order = Order(
            vault=store,
            request=request,
            base=f"https://{request.host.removesuffix(':443')}",
            name=match.name,
            version=match.version,
            effects=effects,
            now=now,
            api_version=api_version,
        )
        with store.lock:
            store.settle(match.name)
            return _as_of(api_version, match.route.serve(order))


def _bare(host: str) -> str:
    return host.partition(":")[0]


def _as_of(api_version: str, reply: Reply) -> Reply:
    return replace(reply, document=api_versions.as_of(api_version, reply.document))


def _nothing(_: Effects) -> Reply:
    raise AssertionError("a challenge performs nothing")


def _unknown(request: Request) -> Reply:
    raise refusal(Reason.NOT_EMULATED, method=request.method, path=request.path)


def _ended(end: Answer | Drop) -> Reply | None:
    if isinstance(end, Drop):
        return None
    if end.body is not None:
        return Reply(status=end.status, text=end.body, headers=end.headers)
    document = error_document(end.code, end.message, end.inner)
    return Reply(status=end.status, document=document, headers=end.headers)


async def _answer(request: Request, reply: Reply, send: Send) -> None:
    body = reply.body()
    headers = headers_of(request, reply, body)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _drop(scope: Scope, receive: Receive) -> None:
    """Cut the connection; once uvicorn knows, returning without an answer is no error to it."""
    scope["abort"]()
    while (await receive())["type"] != "http.disconnect":
        continue

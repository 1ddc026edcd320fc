"""What must hold of every deployment, whatever went wrong, checked from outside.

Two rules keep this fair. A look that lied (a stale read, a false 404) is believed: what is said
at the end must be true of what the last look showed, and of the vault as well unless that look
lied. And what no look could show (a write in the moment between a look and an import) is nobody's
fault: an import may be sent where the last look showed what it is to replace.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app import pki
from app.connectors.azure_key_vault.previous import EXPIRED
from app.deployment import trail
from app.deployment.model import EXITS, NEXT, SUCCESS, Deployment, Outcome, Plan, State
from app.emulator import StoredVersion
from app.emulator.stored import Entry
from app.store import records
from tests.certificates import Issued
from tests.connectors.azure_key_vault.auditor import Auditor
from tests.connectors.azure_key_vault.playground import holds
from tests.connectors.azure_key_vault.secrecy import written
from tests.connectors.azure_key_vault.witness import OTHERS, Moment, Seen

MOST_CALLS = 60  # in one life
MOST_SENT = 6  # in one life: three for the certificate, three for the rollback
MOST_TAGS = 15  # where the id of the deployment gives way, and `certctl-rollback-of` leads to it
UNKNOWN = {"import-outcome-unknown", "deadline-exceeded"}
AGREED = {"rollback-impossible", "version-conflict", "plan-changed"}
LAWFUL = {state: {*NEXT.get(state, ()), *EXITS.get(state, ())} for state in State}


def hold(seen: Seen, auditor: Auditor) -> None:
    """Every promise about *seen*."""
    _comes_to_an_end(seen)
    _imports_where_it_may(seen)
    _imports_once(seen)
    _names_what_it_made(seen)
    _tags_what_it_makes(seen)
    _plans_truly(seen)
    _tells_why(seen)
    _ENDS[seen.final.state](seen)
    if seen.final.state in {State.SUCCEEDED, State.UNCHANGED, State.ROLLED_BACK} and honest(seen):
        _is_what_anybody_sees(seen, auditor)


def keep_secrets(seen: Seen, said: str, needles: Iterable[str]) -> None:
    """No byte of a key is in a record, an event, a log or an exception."""
    events = [trail.event(one, id="evt-1", at=one.created_at) for one in seen.saved]
    rows = [str(records.event_row(one)) for one in events]
    documents = [records.document(one) for one in seen.saved]
    text = "\n".join((said, written(seen.saved[-1:]), repr(seen.saved), *documents, *rows))
    assert "PRIVATE KEY" not in text
    for needle in needles:
        assert needle not in text
    for one in seen.saved:
        assert records.deployment(records.document(one)) == one


def honest(seen: Seen) -> bool:
    """Whether the last look showed what is current at the end."""
    look = seen.last_look
    return look is None or look.shown == look.current


def believed(seen: Seen) -> StoredVersion | None:
    """What is current as far as the last look could tell."""
    entry = _believed_entry(seen)
    return entry.latest if entry else None


def _believed_entry(seen: Seen) -> Entry | None:
    look = seen.last_look
    return look.shown_entry if look and not honest(seen) else seen.moments[-1].after


# ---- at every end


def _comes_to_an_end(seen: Seen) -> None:
    states = [seen.begun.state, *(one.state for one in seen.saved)]
    for before, after in pairwise(states):
        assert after in LAWFUL[before], f"no way from {before} to {after}"
    assert seen.final == seen.saved[-1]
    assert seen.final.final
    assert seen.final.finished_at
    assert len(seen.moments) <= MOST_CALLS * seen.lives


def _imports_where_it_may(seen: Seen) -> None:
    """Only after a look that showed what is to be replaced, and never on another's version."""
    for look, sent in _sent(seen):
        if look.shown is None:
            assert seen.final.snapshot is None, "what somebody deleted is made anew"
        else:
            assert look.shown.version in _replaceable(seen, sent)


def _sent(seen: Seen) -> Iterator[tuple[Moment, Moment]]:
    """Each import that was sent, and the last look before it; a look is good for one."""
    look: Moment | None = None
    for moment in seen.moments:
        if moment.what == "import":
            assert look is not None, "an import without a look before it"
            yield look, moment
            look = None
        elif moment.looked:
            look = moment


def _replaceable(seen: Seen, moment: Moment) -> set[str]:
    snapshot = seen.final.snapshot
    before = {snapshot.version_id} if snapshot else set()
    if moment.state is State.IMPORTING:
        return before
    assert moment.state is State.ROLLING_BACK, f"an import while {moment.state}"
    return {*before, *(one.version for one in _ours(seen))}


def _ours(seen: Seen) -> list[StoredVersion]:
    """What it made of the certificate; what nobody can tell from that is taken for it."""
    alike = [one for one in _landed_late(seen) if _whose(one) in {None, seen.begun.id}]
    return [*seen.made(State.IMPORTING), *alike]


def _landed_late(seen: Seen) -> list[StoredVersion]:
    """Versions of our certificate that came by no call, as a lost import of ours would."""
    others = [one for moment in seen.moments if moment.what != "import" for one in moment.made]
    return [one for one in others if _brings(one, seen)]


def _brings(version: StoredVersion, seen: Seen) -> bool:
    """Whether it holds our certificate, and does not put it back."""
    same = pki.thumbprint(version.certificate) == seen.final.certificate.thumbprint
    return same and "certctl-rollback-of" not in version.tags


def _whose(version: StoredVersion) -> str | None:
    return version.tags.get("certctl-deployment-id")


def _imports_once(seen: Seen) -> None:
    """One version for the certificate, one to put back what was there.

    Another only where the look before it did not show the one that was there already: because it
    lied, or because a late import of ours was on top.
    """
    late = {one.version for one in _landed_late(seen) if _whose(one) == seen.begun.id}
    for state in (State.IMPORTING, State.ROLLING_BACK):
        pairs = [pair for pair in _sent(seen) if pair[1].state is state and pair[1].ours]
        for look, _ in pairs[1:]:
            assert look.shown != look.current or _id(look.shown) in late
    throttled = [one.status == 429 for one in seen.moments if one.what == "import"]
    assert throttled.count(False) <= MOST_SENT * seen.lives


def _names_what_it_made(seen: Seen) -> None:
    """What an answer told is on the record, unless a crash took it away; and nothing else is."""
    final = seen.final
    put_back = final.rollback.version_id if final.rollback else None
    assert final.version_id in {None, *(one.version for one in _ours(seen))}
    assert seen.crashed or _told(seen, State.IMPORTING) in {None, final.version_id}
    if final.state is not State.ROLLED_BACK:  # else what is served is named, whoever brought it
        assert put_back in {None, *(one.version for one in seen.made(State.ROLLING_BACK))}
        assert seen.crashed or _told(seen, State.ROLLING_BACK) in {None, put_back}


def _told(seen: Seen, state: State) -> str | None:
    """The version that the last answer in *state* named."""
    answered = [one.ours for one in seen.moments if one.status == 200 and one.state is state]
    return next((one.version for one in reversed(answered) if one), None)


def _tags_what_it_makes(seen: Seen) -> None:
    for moment in seen.moments:
        made = moment.ours
        if made is None or moment.forgot_tags:
            continue
        assert made.tags["certctl-managed-by"] == "certctl"
        rolls_back = moment.state is State.ROLLING_BACK
        assert ("certctl-rollback-of" in made.tags) is rolls_back
        if not (rolls_back and len(made.tags) == MOST_TAGS):
            assert made.tags["certctl-deployment-id"] == seen.begun.id


def _plans_truly(seen: Seen) -> None:
    """No rollback is promised that the vault would refuse because the certificate has expired."""
    snapshot, rollback = seen.final.snapshot, seen.final.rollback
    if snapshot is None or rollback is None or rollback.plan is Plan.NOT_NEEDED or seen.crashed:
        return
    expired = snapshot.not_after <= seen.since
    assert expired is (rollback.plan is Plan.IMPOSSIBLE and rollback.reason == EXPIRED)


def _tells_why(seen: Seen) -> None:
    final = seen.final
    assert (final.result is not None) is (final.state in SUCCESS)
    assert (final.error is None) is (final.state in SUCCESS)
    if not any(map(_disturbs, seen.moments)) and not seen.crashed:
        assert final.state in SUCCESS or (final.error and final.error.code in AGREED)
    surely_not = final.error and final.error.step is State.IMPORTING
    if final.error and surely_not and final.error.code not in {*UNKNOWN, "superseded"}:
        assert _nothing_made(seen)
        assert seen.crashed or not any(map(_silent, seen.moments))


def _silent(moment: Moment) -> bool:
    """An import without an answer, which may yet land."""
    return moment.what == "import" and moment.status in {0, 408, 504}


def _disturbs(moment: Moment) -> bool:
    told = moment.status == 200 or (moment.status == 404 and moment.what != "import")
    return moment.what == OTHERS or not told or moment.effects.effects != ()


def _nothing_made(seen: Seen) -> bool:
    return not seen.made(*State) or not honest(seen)


# ---- at each end


def _succeeded(seen: Seen) -> None:
    _serves(believed(seen), seen.final)
    assert seen.final.result is not None
    assert seen.final.result.deployment_id == _id(believed(seen))
    assert seen.final.version_id is not None


def _unchanged(seen: Seen) -> None:
    _serves(believed(seen), seen.final)
    assert "import" not in [one.what for one in seen.moments]


def _serves(current: StoredVersion | None, final: Deployment) -> None:
    assert current is not None
    assert current.enabled
    assert pki.thumbprint(current.certificate) == final.certificate.thumbprint
    assert _works(current)


def _rolled_back(seen: Seen) -> None:
    current, before = believed(seen), _before(seen)
    assert current is not None
    assert current.certificate == before.certificate
    assert current.enabled is before.enabled
    assert _works(current)
    assert seen.final.rollback is not None
    assert seen.final.rollback.outcome is Outcome.RESTORED
    assert seen.final.rollback.version_id == current.version
    _is_as_before(seen)


def _before(seen: Seen) -> StoredVersion:
    """The version in the snapshot, as it was when that was taken."""
    return _snapshot_entry(seen).latest


def _snapshot_entry(seen: Seen) -> Entry:
    """What the look showed that the snapshot was taken from, the last one."""
    assert seen.final.snapshot is not None
    looks = [one for one in seen.moments if one.looked and one.state is State.SNAPSHOTTING]
    shown = [one.shown_entry for one in reversed(looks)]
    return next(
        one for one in shown if one and one.latest.version == seen.final.snapshot.version_id
    )


def _is_as_before(seen: Seen) -> None:
    """Whoever reads the secret finds it in the form they know, and as exportable."""
    before, after, rollback = _snapshot_entry(seen), _believed_entry(seen), seen.final.rollback
    assert after is not None
    assert rollback is not None
    assert after.latest.content_type == before.latest.content_type
    # a secret that could be read is exportable, whatever the policy says of the next version
    assert _exports(after) is (_exports(before) or rollback.plan is Plan.SECRET)


def _exports(entry: Entry) -> bool:
    return entry.policy["key_props"].get("exportable", True) is not False


def _failed(seen: Seen) -> None:
    """Nothing had changed, or what changed was a first import, and then the error says so."""
    error = seen.final.error
    assert error is not None
    if seen.final.version_id is not None or not _nothing_made(seen):
        assert seen.final.snapshot is None
        assert error.step is State.VERIFYING or error.code in UNKNOWN
    current = believed(seen)
    if current is not None and _brings(current, seen) and _whose(current) == seen.begun.id:
        assert seen.final.snapshot is None


def _rollback_failed(seen: Seen) -> None:
    final = seen.final
    assert final.rollback is not None
    assert final.error is not None
    assert final.rollback.outcome is Outcome.ALSO_FAILED
    assert final.rollback.reason
    assert not final.error.retryable
    while_rolling_back = [one for one in seen.moments if one.state is State.ROLLING_BACK]
    gone = any(one.looked and one.shown is None for one in while_rolling_back)
    hindered = seen.crashed or gone or any(map(_disturbs, while_rolling_back))
    assert hindered or final.rollback.plan is Plan.IMPOSSIBLE
    if final.rollback.plan is Plan.IMPOSSIBLE:
        assert "import" not in [one.what for one in while_rolling_back]


def _superseded(seen: Seen) -> None:
    current = believed(seen)
    assert current is not None
    assert current.version not in {one.version for one in seen.made(*State)}
    assert not (_brings(current, seen) and _whose(current) == seen.begun.id)


def _interrupted(seen: Seen) -> None:
    assert seen.crashed
    assert _nothing_made(seen)


_ENDS = {
    State.SUCCEEDED: _succeeded,
    State.UNCHANGED: _unchanged,
    State.FAILED: _failed,
    State.ROLLED_BACK: _rolled_back,
    State.ROLLBACK_FAILED: _rollback_failed,
    State.SUPERSEDED: _superseded,
    State.INTERRUPTED: _interrupted,
}


def _is_what_anybody_sees(seen: Seen, auditor: Auditor) -> None:
    """Over HTTP the vault shows the same, and its secret holds a key that signs for it."""
    shown, current = auditor.served(), seen.now
    assert current is not None
    assert shown is not None
    assert (shown.version_id, shown.certificate) == (current.version, current.certificate)
    assert shown.enabled is current.enabled
    entry = seen.moments[-1].after
    assert entry is not None
    exports = _exports(entry)
    assert exports or seen.final.state is not State.SUCCEEDED
    if current.enabled and exports:
        leaf, key = auditor.exported()
        assert leaf == current.certificate
        assert holds(replace(current, private_key=key), Issued(leaf=leaf, key=key))


def _works(version: StoredVersion) -> bool:
    key = version.private_key
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return holds(version, Issued(leaf=version.certificate, key=key))


def _id(version: StoredVersion | None) -> str | None:
    return version.version if version else None

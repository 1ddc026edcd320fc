"""The meetings: what a rollback meets, and how it must end then where it can be done."""

from app.deployment.model import State
from app.emulator import AnotherWriter, Answer, Drop, ForgetTags, StaleRead, StoreAnother
from tests.connectors.azure_key_vault.rollback.causes import (
    ALWAYS,
    FORBIDDEN,
    REJECTED,
    THROTTLED,
    UNAVAILABLE,
    UNAVAILABLE_BUT_APPLIED,
    Serves,
    a_creation_is_pending,
    a_stranger_carries_the_tags_over,
    a_stranger_writes,
    fault,
    somebody_deletes_it,
)
from tests.connectors.azure_key_vault.rollback.ends import (
    LEFT_ALONE,
    OVERTAKEN,
    OVERTAKEN_UNSEEN,
    RESTORED,
    Dies,
    End,
    Meets,
    refused,
    unseen,
)
from tests.connectors.azure_key_vault.rollback.plans import SECRETS

_504 = Answer(status=504)
_APPLIED_504 = Answer(status=504, applied=True)

WORKS = Meets(name="works", end=RESTORED, looks=True)
STRANGER = Meets(
    name="a-stranger-before", end=LEFT_ALONE, happenings=[a_stranger_writes], looks=True
)
CARRIER = Meets(
    name="a-stranger-with-our-tags-before",
    end=LEFT_ALONE,
    happenings=[a_stranger_carries_the_tags_over],
    looks=True,
)
NO_READ = Meets(
    name="no-read",
    end=refused("target-unavailable", sends=0),
    happenings=[fault("get_certificate", UNAVAILABLE, count=ALWAYS)],
    looks=True,
)
DELETED = Meets(
    name="deleted",
    end=refused("name-soft-deleted", sends=0, serves=Serves.NOTHING),
    happenings=[somebody_deletes_it],
    looks=True,
)
STALE_LOOK = Meets(
    name="stale-look",
    end=RESTORED,
    happenings=[fault("get_certificate", StaleRead(), count=3)],
    looks=True,
)
NOT_FOUND = Meets(
    name="not-found-once",
    end=RESTORED,
    happenings=[fault("get_certificate", Answer(status=404, code="CertificateNotFound"))],
    looks=True,
)
_KEY_GONE = refused("rollback-impossible", sends=0)
CRASHED = Meets(
    name="a-crash-before-it-begins",
    end=RESTORED,
    dies=Dies.BEFORE_THE_ROLLBACK_BEGINS,
    keyless=_KEY_GONE,
    looks=True,
)
UNSAVED = Meets(
    name="a-crash-before-it-is-saved",
    end=RESTORED,
    dies=Dies.BEFORE_THE_ROLLBACK_IS_SAVED,
    keyless=_KEY_GONE,
    looks=True,
)

# answers to its import
_ANSWERED = (
    Meets(
        name="403", end=refused("target-forbidden-rbac"), happenings=[fault("import", FORBIDDEN)]
    ),
    Meets(name="400", end=refused("certificate-rejected"), happenings=[fault("import", REJECTED)]),
    Meets(
        name="401",
        end=refused("target-unauthenticated"),
        happenings=[fault("import", Answer(status=401))],
    ),
    Meets(
        name="409-pending",
        end=refused("pending-operation"),
        happenings=[a_creation_is_pending],
    ),
    Meets(name="503-applied", end=RESTORED, happenings=[fault("import", UNAVAILABLE_BUT_APPLIED)]),
    Meets(name="504-applied", end=RESTORED, happenings=[fault("import", _APPLIED_504)]),
    Meets(
        name="503-once",
        end=End(state=State.ROLLED_BACK, serves=Serves.OLD, sends=2),
        happenings=[fault("import", UNAVAILABLE)],
    ),
    Meets(
        name="503-always",
        end=refused("target-unavailable", sends=3),
        happenings=[fault("import", UNAVAILABLE, count=ALWAYS)],
    ),
    Meets(
        name="504-always",
        end=refused("import-outcome-unknown", sends=3),
        happenings=[fault("import", _504, count=ALWAYS)],
    ),
    Meets(name="dropped-after", end=RESTORED, happenings=[fault("import", Drop(applied=True))]),
    Meets(
        name="dropped-before-once",
        end=End(state=State.ROLLED_BACK, serves=Serves.OLD, sends=2),
        happenings=[fault("import", Drop())],
    ),
    Meets(
        name="dropped-always",
        end=refused("import-outcome-unknown", sends=3),
        happenings=[fault("import", Drop(), count=ALWAYS)],
    ),
    Meets(
        name="dropped-and-then-403",
        end=refused("import-outcome-unknown", sends=2),
        happenings=[fault("import", Drop()), fault("import", FORBIDDEN, nth=2, count=ALWAYS)],
    ),
    Meets(
        name="dropped-after-and-shown-after-a-403",
        end=End(state=State.ROLLED_BACK, serves=Serves.OLD, sends=2),
        happenings=[
            fault("import", Drop(applied=True)),
            fault("get_certificate", StaleRead(), nth=2, count=3),
            fault("import", FORBIDDEN, nth=2),
        ],
    ),
    Meets(
        name="throttled-once",
        end=End(state=State.ROLLED_BACK, serves=Serves.OLD, sends=2),
        happenings=[fault("import", THROTTLED)],
    ),
    Meets(
        name="throttled-always",
        end=refused("target-throttled", sends=3),
        happenings=[fault("import", THROTTLED, count=ALWAYS)],
    ),
)

# what its read-back shows
_READ_BACK = (
    Meets(
        name="a-stranger-after",
        end=OVERTAKEN,
        happenings=[fault("import", AnotherWriter())],
    ),
    Meets(
        name="a-stranger-after-503",
        end=OVERTAKEN_UNSEEN,
        happenings=[fault("import", AnotherWriter()), fault("import", UNAVAILABLE_BUT_APPLIED)],
    ),
    Meets(
        name="one-stale-read",
        end=RESTORED,
        happenings=[fault("get_certificate", StaleRead(), nth=2)],
    ),
    Meets(
        name="stale-reads",
        end=unseen("verification-failed"),
        happenings=[fault("get_certificate", StaleRead(), nth=2, count=ALWAYS)],
    ),
    Meets(
        name="no-read-back",
        end=unseen("target-unavailable"),
        happenings=[fault("get_certificate", UNAVAILABLE, nth=2, count=ALWAYS)],
    ),
    Meets(
        name="no-look-after-503",
        end=unseen("import-outcome-unknown", names=False),
        happenings=[
            fault("import", UNAVAILABLE_BUT_APPLIED),
            fault("get_certificate", UNAVAILABLE, nth=2, count=ALWAYS),
        ],
    ),
    Meets(
        name="forbidden-read-back",
        end=unseen("target-forbidden-rbac"),
        happenings=[fault("get_certificate", FORBIDDEN, nth=2, count=ALWAYS)],
    ),
    Meets(
        name="wrong-again",
        end=End(state=State.ROLLBACK_FAILED, reason="verification-failed", serves=Serves.ANOTHER),
        happenings=[fault("import", StoreAnother())],
    ),
    Meets(name="tags-forgotten", end=RESTORED, happenings=[fault("import", ForgetTags())]),
)

# the process dies, and is run again with nothing held
_DONE = Dies.BEFORE_THE_END_IS_SAVED
_CRASHES = (
    Meets(
        name="a-crash-and-no-secret-any-more",
        end=refused("target-forbidden-rbac", sends=0),
        dies=Dies.BEFORE_THE_ROLLBACK_BEGINS,
        again=[lambda play: play.emulator.deny(action=SECRETS)],
        keyless=_KEY_GONE,
    ),
    Meets(name="a-crash-before-its-end", end=RESTORED, dies=_DONE, keyless=RESTORED),
    Meets(
        name="a-crash-before-its-end-and-503-applied",
        end=RESTORED,
        happenings=[fault("import", UNAVAILABLE_BUT_APPLIED)],
        dies=_DONE,
        keyless=RESTORED,
    ),
    Meets(
        name="a-crash-before-its-end-and-a-stale-read",
        end=RESTORED,
        dies=_DONE,
        again=[fault("get_certificate", StaleRead())],
        keyless=RESTORED,
    ),
    Meets(
        name="a-crash-before-its-end-and-stale-reads",
        end=RESTORED,
        dies=_DONE,
        again=[fault("get_certificate", StaleRead(), count=2)],
        keyless=RESTORED,
    ),
    Meets(
        name="a-crash-before-its-end-and-no-read",
        end=unseen("target-unavailable", names=False),
        dies=_DONE,
        again=[fault("get_certificate", UNAVAILABLE, count=ALWAYS)],
        keyless=unseen("target-unavailable", names=False),
    ),
    Meets(
        name="a-crash-before-its-end-and-a-stranger",
        end=OVERTAKEN_UNSEEN,
        dies=_DONE,
        again=[a_stranger_writes],
        keyless=OVERTAKEN_UNSEEN,
    ),
    Meets(
        name="a-crash-before-its-end-and-a-stranger-with-our-tags",
        end=OVERTAKEN_UNSEEN,
        dies=_DONE,
        again=[a_stranger_carries_the_tags_over],
        keyless=OVERTAKEN_UNSEEN,
    ),
    Meets(
        name="a-crash-before-its-end-of-403",
        end=refused("target-forbidden-rbac", sends=2),
        happenings=[fault("import", FORBIDDEN, count=ALWAYS)],
        dies=_DONE,
        keyless=refused("rollback-impossible"),
    ),
    Meets(
        name="a-crash-before-its-end-of-wrong-again",
        end=End(state=State.ROLLBACK_FAILED, reason="verification-failed", serves=Serves.ANOTHER),
        happenings=[fault("import", StoreAnother())],
        dies=_DONE,
        keyless=End(
            state=State.ROLLBACK_FAILED, reason="verification-failed", serves=Serves.ANOTHER
        ),
    ),
)

TELLING = (
    WORKS,
    STRANGER,
    CRASHED,
    *(
        one
        for one in (*_ANSWERED, *_READ_BACK)
        if one.name in {"403", "503-applied", "stale-reads"}
    ),
)
MEETS = (
    WORKS,
    STRANGER,
    CARRIER,
    NO_READ,
    DELETED,
    STALE_LOOK,
    NOT_FOUND,
    CRASHED,
    UNSAVED,
    *_ANSWERED,
    *_READ_BACK,
    *_CRASHES,
)

"""The ledger's tables and the rules the database keeps by itself; numbered by PRAGMA user_version."""

from typing import Final

from edge_agent.ledger.authorizations import CODES, STATES
from edge_agent.ledger.store import LedgerError, Store
from payment_core.authorization import TABLE
from payment_core.hub_epoch import EPOCH_MOVES, EpochState

_MOVES: Final = ", ".join(
    str(move) for move in sorted({CODES[old] * 16 + CODES[new] for (old, _step), new in TABLE.items()})
)
"""Every legal change of state as 16 * old + new."""
_EPOCH_MOVES: Final = ", ".join(f"'{old}>{new}'" for old, new in EPOCH_MOVES)

VERSION_1: Final = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE entries(
        seq INTEGER PRIMARY KEY CHECK(seq > 0),
        record BLOB NOT NULL,
        hash BLOB NOT NULL CHECK(length(hash) = 32)) STRICT""",
    """CREATE TRIGGER entries_only_append BEFORE UPDATE ON entries
        BEGIN SELECT RAISE(ABORT, 'a journal entry never changes'); END""",
    """CREATE TRIGGER entries_kept BEFORE DELETE ON entries
        WHEN OLD.seq > (SELECT value FROM meta WHERE key = 'prune_through')
        BEGIN SELECT RAISE(ABORT, 'only acknowledged entries past their keeping time may be pruned'); END""",
    f"""CREATE TABLE authorizations(
        id BLOB PRIMARY KEY CHECK(length(id) = 16),
        state INTEGER NOT NULL CHECK(state BETWEEN {min(STATES)} AND {max(STATES)}),
        reader TEXT NOT NULL,
        event_epoch INTEGER NOT NULL,
        event_seq INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        held_seq INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    """CREATE TABLE wish_marks(
        reader TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, answer BLOB NOT NULL,
        PRIMARY KEY(reader, epoch)) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER wish_marks_only_rise BEFORE UPDATE ON wish_marks WHEN NEW.seq < OLD.seq
        BEGIN SELECT RAISE(ABORT, 'a reader never goes back to an earlier event'); END""",
    f"""CREATE TRIGGER authorizations_step BEFORE UPDATE OF state ON authorizations
        WHEN OLD.state * 16 + NEW.state NOT IN ({_MOVES})
        BEGIN SELECT RAISE(ABORT, 'an authorization cannot take this step'); END""",
    """CREATE TRIGGER authorizations_fixed BEFORE UPDATE OF id, reader, event_epoch, event_seq, at_ms, held_seq
        ON authorizations BEGIN SELECT RAISE(ABORT, 'what was held does not change'); END""",
    """CREATE TRIGGER authorizations_stay BEFORE DELETE ON authorizations WHEN OLD.state IN (2, 3, 7)
        BEGIN SELECT RAISE(ABORT, 'an open authorization is never forgotten'); END""",
    """CREATE TABLE leases(
        account_id BLOB NOT NULL CHECK(length(account_id) = 16),
        unit TEXT NOT NULL,
        epoch INTEGER NOT NULL CHECK(epoch > 0),
        granted INTEGER NOT NULL CHECK(granted >= 0),
        committed INTEGER NOT NULL DEFAULT 0 CHECK(committed >= 0),
        released INTEGER NOT NULL DEFAULT 0 CHECK(released >= 0),
        refunded INTEGER NOT NULL DEFAULT 0 CHECK(refunded >= 0),
        day INTEGER NOT NULL DEFAULT 0,
        day_amount INTEGER NOT NULL DEFAULT 0,
        window_start_ms INTEGER NOT NULL DEFAULT 0,
        window_count INTEGER NOT NULL DEFAULT 0,
        window_amount INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY(account_id, unit, epoch),
        CHECK(released + refunded <= committed),
        CHECK(granted - committed + released + refunded >= 0)) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER leases_only_rise BEFORE UPDATE ON leases
        WHEN NEW.granted < OLD.granted OR NEW.committed < OLD.committed
          OR NEW.released < OLD.released OR NEW.refunded < OLD.refunded
        BEGIN SELECT RAISE(ABORT, 'the counters of a lease only rise'); END""",
    """CREATE TRIGGER leases_stay BEFORE DELETE ON leases
        BEGIN SELECT RAISE(ABORT, 'a lease is never taken away here'); END""",
    """CREATE TABLE coin_credit(
        lane TEXT PRIMARY KEY, unit TEXT NOT NULL, amount INTEGER NOT NULL CHECK(amount >= 0)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE value_marks(
        device TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, counter INTEGER NOT NULL,
        PRIMARY KEY(device, epoch)) STRICT, WITHOUT ROWID""",
    "CREATE TABLE list(credential_id BLOB PRIMARY KEY, row BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE token_counters(credential_id BLOB PRIMARY KEY, counter INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TRIGGER token_counters_only_rise BEFORE UPDATE ON token_counters WHEN NEW.counter <= OLD.counter
        BEGIN SELECT RAISE(ABORT, 'a token counter only rises'); END""",
    """CREATE TABLE documents(
        name TEXT PRIMARY KEY, version INTEGER NOT NULL, content BLOB NOT NULL) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER documents_only_rise BEFORE UPDATE ON documents WHEN NEW.version <= OLD.version
        BEGIN SELECT RAISE(ABORT, 'a document version only rises'); END""",
    """CREATE TABLE since_receipt(
        credential_id BLOB PRIMARY KEY, count INTEGER NOT NULL, amount INTEGER NOT NULL, last_seq INTEGER NOT NULL)
        STRICT, WITHOUT ROWID""",
    """CREATE TABLE batches(
        batch_seq INTEGER PRIMARY KEY CHECK(batch_seq > 0),
        first_rec INTEGER NOT NULL,
        rec_count INTEGER NOT NULL CHECK(rec_count > 0),
        hash BLOB NOT NULL CHECK(length(hash) = 32),
        sealed BLOB NOT NULL) STRICT""",
    """CREATE TRIGGER batches_sealed_once BEFORE UPDATE ON batches
        BEGIN SELECT RAISE(ABORT, 'a sealed batch never changes'); END""",
    """INSERT INTO meta(key, value) VALUES ('prune_through', 0), ('acked_batch', 0), ('acked_seq', 0),
        ('acked_hash', x''), ('list_version', 0), ('epoch', 1)""",
)
VERSION_2: Final = (
    "DROP TRIGGER leases_only_rise",
    "DROP TRIGGER leases_stay",
    "ALTER TABLE leases RENAME TO leases_1",
    """CREATE TABLE leases(
        account_id BLOB NOT NULL CHECK(length(account_id) = 16),
        unit TEXT NOT NULL,
        epoch INTEGER NOT NULL CHECK(epoch > 0),
        lot BLOB NOT NULL CHECK(length(lot) IN (0, 16)),
        kind INTEGER NOT NULL DEFAULT 0,
        opened_ms INTEGER NOT NULL DEFAULT 0,
        expires_ms INTEGER,
        closed INTEGER NOT NULL DEFAULT 0 CHECK(closed IN (0, 1)),
        granted INTEGER NOT NULL CHECK(granted >= 0),
        from_office INTEGER NOT NULL DEFAULT 0 CHECK(from_office BETWEEN 0 AND granted),
        committed INTEGER NOT NULL DEFAULT 0 CHECK(committed >= 0),
        released INTEGER NOT NULL DEFAULT 0 CHECK(released >= 0),
        refunded INTEGER NOT NULL DEFAULT 0 CHECK(refunded >= 0),
        gone INTEGER NOT NULL DEFAULT 0 CHECK(gone BETWEEN 0 AND committed),
        touched_ms INTEGER NOT NULL DEFAULT 0,
        used BLOB NOT NULL DEFAULT x'',
        PRIMARY KEY(account_id, unit, epoch, lot),
        CHECK(released + refunded <= committed),
        CHECK(granted - committed + released + refunded >= 0),
        CHECK(closed = 0 OR granted - committed + released + refunded = 0)) STRICT, WITHOUT ROWID""",
    """INSERT INTO leases(account_id, unit, epoch, lot, granted, from_office, committed, released, refunded, used)
        SELECT account_id, unit, epoch, x'', granted, granted, committed, released, refunded,
        iif(day_amount > 0, CAST(json_array(json_array(json_array('', day, day_amount)), json_array()) AS BLOB), x'')
        FROM leases_1""",
    "DROP TABLE leases_1",
    """CREATE TRIGGER leases_only_rise BEFORE UPDATE ON leases
        WHEN NEW.granted < OLD.granted OR NEW.committed < OLD.committed OR NEW.from_office < OLD.from_office
          OR NEW.released < OLD.released OR NEW.refunded < OLD.refunded OR NEW.closed < OLD.closed
        BEGIN SELECT RAISE(ABORT, 'the counters of a lease only rise'); END""",
    """CREATE TRIGGER leases_stay BEFORE DELETE ON leases
        BEGIN SELECT RAISE(ABORT, 'a lease is never taken away here'); END""",
    """CREATE TRIGGER leases_fixed BEFORE UPDATE OF account_id, unit, epoch, lot, kind, opened_ms, expires_ms ON leases
        BEGIN SELECT RAISE(ABORT, 'whose money a lease is does not change'); END""",
    """CREATE TABLE lots(lot BLOB PRIMARY KEY CHECK(length(lot) = 16), facts BLOB NOT NULL) STRICT, WITHOUT ROWID""",
    """CREATE TABLE device_marks(
        device TEXT NOT NULL, epoch INTEGER NOT NULL, kind INTEGER NOT NULL CHECK(kind IN (1, 2)), seq INTEGER NOT NULL,
        told ANY NOT NULL, PRIMARY KEY(device, epoch, kind)) STRICT, WITHOUT ROWID""",
    "INSERT INTO device_marks SELECT reader, epoch, 1, seq, answer FROM wish_marks",
    "INSERT INTO device_marks SELECT device, epoch, 2, seq, counter FROM value_marks",
    "DROP TABLE wish_marks",
    "DROP TABLE value_marks",
    """CREATE TRIGGER device_marks_only_rise BEFORE UPDATE ON device_marks WHEN NEW.seq < OLD.seq
        BEGIN SELECT RAISE(ABORT, 'a device never goes back to an earlier event'); END""",
    "ALTER TABLE authorizations ADD COLUMN ended_seq INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE refund_sums(
        authorization_id BLOB NOT NULL, part INTEGER NOT NULL, captured INTEGER NOT NULL,
        refunded INTEGER NOT NULL CHECK(refunded BETWEEN 0 AND captured),
        PRIMARY KEY(authorization_id, part)) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER refund_sums_only_rise BEFORE UPDATE ON refund_sums
        WHEN NEW.refunded < OLD.refunded OR NEW.captured <> OLD.captured
        BEGIN SELECT RAISE(ABORT, 'what was refunded stays refunded'); END""",
    """CREATE TABLE increases(
        authorization_id BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(authorization_id, seq))
        STRICT, WITHOUT ROWID""",
    """CREATE TABLE late_evidence(
        authorization_id BLOB NOT NULL, outcome TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY(authorization_id, outcome)) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER authorizations_gone AFTER DELETE ON authorizations BEGIN
        DELETE FROM refund_sums WHERE authorization_id = OLD.id;
        DELETE FROM increases WHERE authorization_id = OLD.id;
        DELETE FROM late_evidence WHERE authorization_id = OLD.id; END""",
    """CREATE TABLE requests(
        id BLOB PRIMARY KEY CHECK(length(id) = 16), content BLOB NOT NULL, answer BLOB NOT NULL, seq INTEGER NOT NULL)
        STRICT, WITHOUT ROWID""",
    """CREATE TABLE staff_use(
        day INTEGER NOT NULL, staff TEXT NOT NULL, act TEXT NOT NULL, count INTEGER NOT NULL, amount INTEGER NOT NULL,
        PRIMARY KEY(day, staff, act)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE pin_faults(
        staff TEXT NOT NULL, terminal TEXT NOT NULL, count INTEGER NOT NULL, until_ms INTEGER NOT NULL,
        PRIMARY KEY(staff, terminal)) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER requests_fixed BEFORE UPDATE ON requests
        BEGIN SELECT RAISE(ABORT, 'what was asked for under an id does not change'); END""",
    """CREATE TABLE vouchers_given(
        seq INTEGER PRIMARY KEY, to_hub BLOB NOT NULL, account_id BLOB NOT NULL, amount INTEGER NOT NULL,
        body BLOB NOT NULL, taken INTEGER NOT NULL DEFAULT 0) STRICT""",
    """CREATE TABLE vouchers_taken(
        from_hub BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, at_seq INTEGER NOT NULL,
        amount INTEGER NOT NULL, PRIMARY KEY(from_hub, epoch, seq)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX vouchers_taken_at ON vouchers_taken(at_seq)",
    """CREATE TABLE peer_news(
        number INTEGER NOT NULL, to_hub BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY(number, to_hub))
        STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER vouchers_taken_stay BEFORE DELETE ON vouchers_taken
        BEGIN SELECT RAISE(ABORT, 'a voucher is taken once, for ever'); END""",
    """CREATE TABLE slips_taken(
        slip_id BLOB PRIMARY KEY CHECK(length(slip_id) = 16), at_seq INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER slips_taken_stay BEFORE DELETE ON slips_taken
        BEGIN SELECT RAISE(ABORT, 'a slip is taken once, for ever'); END""",
    """CREATE TABLE brought_in(
        seq INTEGER PRIMARY KEY, amount INTEGER NOT NULL CHECK(amount >= 0)) STRICT""",
    """CREATE TABLE doubts_voided(
        day INTEGER NOT NULL, credential_id BLOB NOT NULL, amount INTEGER NOT NULL CHECK(amount >= 0),
        PRIMARY KEY(day, credential_id)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE cache(
        credential_id BLOB PRIMARY KEY, account_id BLOB NOT NULL, row BLOB NOT NULL, blocked INTEGER NOT NULL,
        seq INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE INDEX cache_accounts ON cache(account_id)",
    "CREATE TABLE replaced(old_id BLOB PRIMARY KEY, new_id BLOB NOT NULL UNIQUE) STRICT, WITHOUT ROWID",
    """CREATE TABLE news_taken(
        from_hub BLOB NOT NULL, number INTEGER NOT NULL, credential_id BLOB NOT NULL,
        PRIMARY KEY(from_hub, number, credential_id)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE notices(
        account_id BLOB NOT NULL, unit TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY(account_id, unit))
        STRICT, WITHOUT ROWID""",
    """CREATE TABLE boxes(
        box TEXT NOT NULL, kind TEXT NOT NULL, unit TEXT NOT NULL, booked INTEGER NOT NULL,
        PRIMARY KEY(box, kind, unit)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE lots_made(
        lot BLOB PRIMARY KEY CHECK(length(lot) = 16), account_id BLOB NOT NULL, unit TEXT NOT NULL,
        amount INTEGER NOT NULL, gift_of BLOB NOT NULL) STRICT, WITHOUT ROWID""",
    """CREATE TABLE won_credit(
        lane TEXT NOT NULL, unit TEXT NOT NULL, amount INTEGER NOT NULL CHECK(amount >= 0), since_ms INTEGER NOT NULL,
        PRIMARY KEY(lane, unit)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE claimed(
        day INTEGER NOT NULL, account_id BLOB NOT NULL, unit TEXT NOT NULL, amount INTEGER NOT NULL,
        PRIMARY KEY(day, account_id, unit)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE floor_debts(
        credential_id BLOB PRIMARY KEY, account_id BLOB NOT NULL, amount INTEGER NOT NULL CHECK(amount >= 0),
        day INTEGER NOT NULL, last_seq INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE TABLE uses(account_id BLOB PRIMARY KEY, used BLOB NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE right_uses(
        account_id BLOB NOT NULL, right TEXT NOT NULL, at_ms INTEGER NOT NULL, lane TEXT NOT NULL,
        authorization_id BLOB NOT NULL DEFAULT x'',
        PRIMARY KEY(account_id, right)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE document_archive(
        name TEXT NOT NULL, version INTEGER NOT NULL, effective_ms INTEGER NOT NULL DEFAULT 0, content BLOB NOT NULL,
        PRIMARY KEY(name, version)) STRICT, WITHOUT ROWID""",
    "INSERT INTO document_archive(name, version, content) SELECT name, version, content FROM documents",
    f"INSERT INTO meta(key, value) VALUES ('epoch_state', '{EpochState.OPEN}')",
    f"""CREATE TRIGGER epoch_state_steps BEFORE UPDATE ON meta
        WHEN OLD.key = 'epoch_state' AND OLD.value || '>' || NEW.value NOT IN ({_EPOCH_MOVES})
        BEGIN SELECT RAISE(ABORT, 'an epoch cannot take this step'); END""",
    """CREATE TRIGGER epoch_state_stays BEFORE DELETE ON meta WHEN OLD.key = 'epoch_state'
        BEGIN SELECT RAISE(ABORT, 'where an epoch stands is never forgotten'); END""",
    f"""CREATE TRIGGER entries_end BEFORE INSERT ON entries
        WHEN (SELECT value FROM meta WHERE key = 'epoch_state') = '{EpochState.CLOSED}'
        BEGIN SELECT RAISE(ABORT, 'nothing is written behind the last record of an epoch'); END""",
)
VERSION_3: Final = (
    "ALTER TABLE vouchers_taken ADD COLUMN heard INTEGER NOT NULL DEFAULT 0 CHECK(heard IN (0, 1))",
    "UPDATE vouchers_taken SET heard = 1 WHERE at_seq <= (SELECT value FROM meta WHERE key = 'acked_seq')",
    "CREATE INDEX vouchers_unheard ON vouchers_taken(from_hub, at_seq, amount) WHERE heard = 0",
)
VERSION_4: Final = (
    "CREATE INDEX vouchers_to_say ON vouchers_given(to_hub, seq) WHERE taken <> 1",
    "CREATE INDEX vouchers_given_of ON vouchers_given(account_id)",
)
VERSION_5: Final = (
    """CREATE TABLE consents(
        consent_id BLOB PRIMARY KEY CHECK(length(consent_id) = 16), account_id BLOB NOT NULL,
        of TEXT NOT NULL CHECK(of IN ('finger', 'face')), given_ms INTEGER NOT NULL,
        withdrawn INTEGER NOT NULL DEFAULT 0 CHECK(withdrawn IN (0, 1))) STRICT, WITHOUT ROWID""",
    "CREATE INDEX consents_of ON consents(account_id)",
    """CREATE TABLE templates(
        template_id BLOB PRIMARY KEY CHECK(length(template_id) = 16), account_id BLOB NOT NULL,
        consent_id BLOB NOT NULL REFERENCES consents(consent_id), card_id BLOB NOT NULL, media TEXT NOT NULL,
        device TEXT NOT NULL, serial TEXT NOT NULL, page INTEGER NOT NULL CHECK(page >= -1),
        credential_id BLOB NOT NULL, life INTEGER NOT NULL CHECK(life >= 0), staff TEXT NOT NULL,
        state TEXT NOT NULL CHECK(state IN ('enrolling', 'enrolled', 'forgetting', 'deleted', 'failed')),
        reason TEXT NOT NULL, since_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE INDEX templates_of ON templates(account_id)",
    "CREATE INDEX templates_at ON templates(device, page)",
    """CREATE TRIGGER templates_stay BEFORE DELETE ON templates WHEN OLD.state IN ('enrolled', 'forgetting')
        BEGIN SELECT RAISE(ABORT, 'what a module still holds is never forgotten here first'); END""",
)
VERSION_6: Final = (
    """CREATE TABLE certain_units(
        authorization_id BLOB PRIMARY KEY CHECK(length(authorization_id) = 16),
        credits INTEGER NOT NULL CHECK(credits > 0)) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER certain_units_only_rise BEFORE UPDATE ON certain_units WHEN NEW.credits < OLD.credits
        BEGIN SELECT RAISE(ABORT, 'what certainly left a device does not come back'); END""",
    """CREATE TRIGGER certain_units_gone AFTER DELETE ON authorizations BEGIN
        DELETE FROM certain_units WHERE authorization_id = OLD.id; END""",
)
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6)


def migrate(store: Store, where: str) -> None:
    """Bring a ledger to this release's version; LedgerError where it is of a later one."""
    found = int(store.rows("PRAGMA user_version")[0][0])
    if found > len(MIGRATIONS):
        message = (
            f"{where}: the ledger has version {found}, this release knows up to {len(MIGRATIONS)}. "
            "Install the newer release again; do not delete the file, it holds money."
        )
        raise LedgerError(message)
    for number in range(found, len(MIGRATIONS)):
        store.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[number]:
            store.execute(statement)
        store.execute(f"PRAGMA user_version={number + 1}")
        store.commit()


def adopt_epoch(store: Store, epoch: int) -> None:
    """Begin an empty journal in the epoch the hub was enrolled for; a journal that has entries keeps its own."""
    if not store.rows("SELECT 1 FROM entries LIMIT 1"):
        store.execute("BEGIN IMMEDIATE")
        store.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (epoch,))
        store.commit()

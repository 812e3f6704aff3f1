"""People, what is put before them and what they decide: users, queue, append-only verdicts.

Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused. Add an event that supersedes instead.',
        TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$
"""
_APPEND_ONLY = """
CREATE TRIGGER validation_events_append_only BEFORE UPDATE OR DELETE ON validation_events
FOR EACH ROW EXECUTE FUNCTION refuse_change()
"""
_NEVER_EMPTIED = """
CREATE TRIGGER validation_events_never_emptied BEFORE TRUNCATE ON validation_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""

# Reviewers had no rows of their own before.
_REVIEWERS_FROM_NAMES = """
INSERT INTO users (name, role) SELECT DISTINCT reviewer, 'reviewer' FROM validation_events
"""
_EVENTS_FROM_NAMES = """
UPDATE validation_events e
SET reviewer_id = u.id,
    model_id = COALESCE(e.model_id, r.model_id),
    idempotency_key = COALESCE(e.idempotency_key, e.id::text)
FROM users u, detections d, model_runs r
WHERE u.name = e.reviewer AND d.id = e.detection_id AND r.run_id = d.model_run_id
"""
_DISAGREEMENTS = """
UPDATE detection_consensus c
SET disagreement = abs((c.label = 'real')::int - d.confidence_score)
FROM detections d
WHERE d.id = c.detection_id AND c.decided_by IS NOT NULL
"""
_COUNTS = """
UPDATE detections d SET n_verdicts = c.n_events
FROM detection_consensus c WHERE c.detection_id = d.id
"""
# Unsure and disputed had counted as validated before.
_VALIDATED = """
UPDATE detections d SET is_validated = false
FROM detection_consensus c
WHERE c.detection_id = COALESCE(d.inherited_from, d.id) AND c.decided_by IS NULL
"""


def upgrade() -> None:
    """Users and their credentials, leases, gold items, repeats; verdicts by users."""
    _create_tables()
    _change_consensus()
    _change_detections()
    _change_events()


def downgrade() -> None:
    """Undo it."""
    _restore_events()
    _restore_detections()
    _restore_consensus()
    _drop_tables()


def _add_check(table: str, name: str, condition: str) -> None:
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def _replace_check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    _add_check(table, name, condition)


def _create_tables() -> None:
    op.create_table(
        "users",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="user",
        ),
        sa.Column("name", sa.Text(), nullable=False, comment="name that people see"),
        sa.Column(
            "role",
            sa.Text(),
            nullable=False,
            comment="viewer, reviewer or operator; each may what the last may",
        ),
        sa.Column(
            "is_expert",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="one verdict of theirs decides",
        ),
        sa.Column(
            "is_active",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="may sign in",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when added",
        ),
        sa.CheckConstraint(
            "role IN ('viewer', 'reviewer', 'operator')", name=op.f("ck_users_role")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "api_keys",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="key",
        ),
        sa.Column("user_id", sa.Uuid(), nullable=False, comment="whom it speaks for"),
        sa.Column("name", sa.Text(), nullable=False, comment="what it is for"),
        sa.Column("secret_sha256", sa.Text(), nullable=False, comment="SHA-256 of the 256-bit key"),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when made",
        ),
        sa.Column(
            "expires_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="end of use; null for no end",
        ),
        sa.Column(
            "revoked_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="when taken back",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_api_keys_secret_sha256")),
    )
    op.create_index(op.f("ix_api_keys_user_id"), "api_keys", ["user_id"], unique=False)
    op.create_table(
        "sign_in_links",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="link",
        ),
        sa.Column("user_id", sa.Uuid(), nullable=False, comment="whom it signs in"),
        sa.Column(
            "secret_sha256", sa.Text(), nullable=False, comment="SHA-256 of its 256-bit secret"
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when made",
        ),
        sa.Column(
            "expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="end of use"
        ),
        sa.Column(
            "used_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="when used; it works once",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sign_in_links_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_links")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_sign_in_links_secret_sha256")),
    )
    op.create_index(op.f("ix_sign_in_links_user_id"), "sign_in_links", ["user_id"], unique=False)
    op.create_table(
        "sign_in_sessions",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="session",
        ),
        sa.Column("user_id", sa.Uuid(), nullable=False, comment="who is signed in"),
        sa.Column(
            "secret_sha256", sa.Text(), nullable=False, comment="SHA-256 of its 256-bit secret"
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when signed in",
        ),
        sa.Column(
            "expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="end of use"
        ),
        sa.Column(
            "ended_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="when signed out",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_sign_in_sessions_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_sessions")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_sign_in_sessions_secret_sha256")),
    )
    op.create_index(
        op.f("ix_sign_in_sessions_user_id"), "sign_in_sessions", ["user_id"], unique=False
    )
    op.create_table(
        "gold_items",
        sa.Column("detection_id", sa.Uuid(), nullable=False, comment="detection"),
        sa.Column("verdict", sa.Text(), nullable=False, comment="real or bogus: what it is"),
        sa.Column(
            "subtype", sa.Text(), nullable=True, comment="second taxonomy level, where known"
        ),
        sa.Column(
            "taxonomy_version", sa.Text(), nullable=False, comment="taxonomy the verdict uses"
        ),
        sa.Column("declared_by", sa.Uuid(), nullable=False, comment="who says so"),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when declared",
        ),
        sa.Column(
            "retired_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="when last put before anyone",
        ),
        sa.CheckConstraint("verdict IN ('real', 'bogus')", name=op.f("ck_gold_items_verdict")),
        sa.ForeignKeyConstraint(
            ["declared_by"], ["users.id"], name=op.f("fk_gold_items_declared_by")
        ),
        sa.ForeignKeyConstraint(
            ["detection_id"], ["detections.id"], name=op.f("fk_gold_items_detection_id")
        ),
        sa.PrimaryKeyConstraint("detection_id", name=op.f("pk_gold_items")),
    )
    op.create_table(
        "review_repeats",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="repeat",
        ),
        sa.Column("detection_id", sa.Uuid(), nullable=False, comment="detection"),
        sa.Column("reviewer_id", sa.Uuid(), nullable=False, comment="who is to judge it again"),
        sa.Column("declared_by", sa.Uuid(), nullable=False, comment="who asked for it"),
        sa.Column(
            "due_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="not before"
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when asked for",
        ),
        sa.Column("answered_by", sa.Uuid(), nullable=True, comment="verdict that answered it"),
        sa.ForeignKeyConstraint(
            ["answered_by"], ["validation_events.id"], name=op.f("fk_review_repeats_answered_by")
        ),
        sa.ForeignKeyConstraint(
            ["declared_by"], ["users.id"], name=op.f("fk_review_repeats_declared_by")
        ),
        sa.ForeignKeyConstraint(
            ["detection_id"], ["detections.id"], name=op.f("fk_review_repeats_detection_id")
        ),
        sa.ForeignKeyConstraint(
            ["reviewer_id"], ["users.id"], name=op.f("fk_review_repeats_reviewer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_repeats")),
    )
    op.create_index(
        op.f("ix_review_repeats_detection_id"), "review_repeats", ["detection_id"], unique=False
    )
    op.create_index(
        "ix_review_repeats_open",
        "review_repeats",
        ["reviewer_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("answered_by IS NULL"),
    )
    op.create_table(
        "review_leases",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="lease",
        ),
        sa.Column(
            "number",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="order in which leases were given",
        ),
        sa.Column("detection_id", sa.Uuid(), nullable=False, comment="detection"),
        sa.Column("reviewer_id", sa.Uuid(), nullable=False, comment="before whom it is put"),
        sa.Column(
            "stratum",
            sa.Text(),
            nullable=False,
            comment="why: uncertain, random, gold, suspect or repeat",
        ),
        sa.Column("repeat_id", sa.Uuid(), nullable=True, comment="repeat it serves"),
        sa.Column(
            "leased_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when given",
        ),
        sa.Column(
            "expires_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="when others may have it",
        ),
        sa.Column(
            "closed_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="when judged, given back or run out",
        ),
        sa.CheckConstraint(
            "stratum IN ('uncertain', 'random', 'gold', 'suspect', 'repeat')",
            name=op.f("ck_review_leases_stratum"),
        ),
        sa.ForeignKeyConstraint(
            ["detection_id"], ["detections.id"], name=op.f("fk_review_leases_detection_id")
        ),
        sa.ForeignKeyConstraint(
            ["repeat_id"], ["review_repeats.id"], name=op.f("fk_review_leases_repeat_id")
        ),
        sa.ForeignKeyConstraint(
            ["reviewer_id"], ["users.id"], name=op.f("fk_review_leases_reviewer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_leases")),
    )
    op.create_index(
        op.f("ix_review_leases_reviewer_id_number"),
        "review_leases",
        ["reviewer_id", "number"],
        unique=False,
    )
    op.create_index(
        "uq_review_leases_open",
        "review_leases",
        ["detection_id"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def _change_consensus() -> None:
    op.add_column(
        "detection_consensus",
        sa.Column(
            "sole_reviewer_id",
            sa.Uuid(),
            nullable=True,
            comment="whose verdict it is, where only one counts",
        ),
    )
    op.add_column(
        "detection_consensus",
        sa.Column(
            "disagreement",
            sa.Double(),
            nullable=True,
            comment="|label - confidence| of the newest judgement of the source, real being 1; "
            "null while undecided",
        ),
    )
    op.alter_column(
        "detection_consensus",
        "label",
        existing_type=sa.TEXT(),
        comment="real or bogus; else unsure (nobody says either), pending (one verdict, which "
        "does not decide) or disputed (a tie, which an expert decides)",
        existing_nullable=False,
    )
    op.alter_column(
        "detection_consensus",
        "subtype",
        existing_type=sa.TEXT(),
        comment="subtype of most of those who decided",
        existing_nullable=True,
    )
    op.alter_column(
        "detection_consensus",
        "decided_by",
        existing_type=sa.TEXT(),
        nullable=True,
        comment="expert or agreement: rule that decided; null while undecided",
    )
    op.create_index(
        "ix_detection_consensus_suspect",
        "detection_consensus",
        ["decided_by", "disagreement"],
        unique=False,
        postgresql_include=["detection_id", "sole_reviewer_id", "n_events"],
        postgresql_where=sa.text("decided_by IS NOT NULL"),
    )
    op.create_index(
        "ix_detection_consensus_undecided",
        "detection_consensus",
        ["label", "updated_at"],
        unique=False,
        postgresql_include=["detection_id", "sole_reviewer_id", "n_events"],
        postgresql_where=sa.text("decided_by IS NULL"),
    )
    op.create_foreign_key(
        op.f("fk_detection_consensus_sole_reviewer_id"),
        "detection_consensus",
        "users",
        ["sole_reviewer_id"],
        ["id"],
    )
    op.execute(
        "UPDATE detection_consensus "
        "SET decided_by = CASE WHEN label IN ('real', 'bogus') THEN 'agreement' END"
    )
    op.execute(_DISAGREEMENTS)
    _replace_check(
        "detection_consensus",
        "label",
        "label IN ('real', 'bogus', 'unsure', 'pending', 'disputed')",
    )
    _add_check("detection_consensus", "decided_by", "decided_by IN ('expert', 'agreement')")
    _add_check(
        "detection_consensus",
        "decided_has_a_rule",
        "(label IN ('real', 'bogus')) = (decided_by IS NOT NULL)",
    )


def _change_detections() -> None:
    op.add_column(
        "detections",
        sa.Column(
            "n_verdicts",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="standing verdicts on it that count",
        ),
    )
    op.alter_column(
        "detections",
        "is_validated",
        existing_type=sa.BOOLEAN(),
        comment="people decided that it is real or bogus: it, or the one it inherits from",
        existing_nullable=False,
        existing_server_default=sa.text("false"),
    )
    op.create_index(
        "ix_detections_confidence",
        "detections",
        ["confidence_score", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_index(
        "ix_detections_validated",
        "detections",
        ["confidence_score", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'active' AND is_validated"),
    )
    op.create_index(
        op.f("ix_detections_inherited_from"), "detections", ["inherited_from"], unique=False
    )
    op.create_index(
        "ix_detections_uncertainty",
        "detections",
        [sa.text("abs(confidence_score - 0.5)"), "id"],
        unique=False,
        postgresql_where=sa.text("status = 'active' AND NOT is_validated AND n_verdicts = 0"),
    )
    op.create_index(
        "ix_detections_untouched",
        "detections",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status = 'active' AND NOT is_validated AND n_verdicts = 0"),
    )
    op.execute(_COUNTS)
    op.execute(_VALIDATED)


def _change_events() -> None:
    op.add_column(
        "validation_events",
        sa.Column(
            "number",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="order of the events of one detection, which are written one at a time",
        ),
    )
    op.add_column(
        "validation_events",
        sa.Column("reviewer_id", sa.Uuid(), nullable=True, comment="who judged"),
    )
    op.add_column(
        "validation_events",
        sa.Column(
            "is_expert",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="whether they were an expert then",
        ),
    )
    op.add_column(
        "validation_events",
        sa.Column(
            "stratum",
            sa.Text(),
            nullable=True,
            comment="why the queue put it before them; null when they opened it themselves",
        ),
    )
    op.add_column(
        "validation_events",
        sa.Column(
            "time_taken_s",
            sa.Double(),
            nullable=True,
            comment="seconds from showing to verdict, as the client measured",
        ),
    )
    op.execute(_REVIEWERS_FROM_NAMES)
    op.execute(_EVENTS_FROM_NAMES)
    op.alter_column("validation_events", "reviewer_id", nullable=False)
    op.alter_column("validation_events", "is_expert", server_default=None)
    op.alter_column(
        "validation_events",
        "verdict",
        existing_type=sa.TEXT(),
        comment="real, bogus or unsure; withdrawn takes the superseded event back",
        existing_nullable=False,
    )
    op.alter_column(
        "validation_events",
        "model_id",
        existing_type=sa.UUID(),
        nullable=False,
    )
    op.alter_column(
        "validation_events",
        "cutout_sha256",
        existing_type=sa.TEXT(),
        comment="hash of the cutout the reviewer saw; null for a U-Net component, which has none",
        existing_nullable=True,
    )
    op.alter_column(
        "validation_events",
        "supersedes",
        existing_type=sa.UUID(),
        comment="event this one corrects or withdraws",
        existing_nullable=True,
    )
    op.alter_column(
        "validation_events",
        "idempotency_key",
        existing_type=sa.TEXT(),
        nullable=False,
        comment="client's key; a repeat of the reviewer's is the same event",
    )
    op.drop_constraint(
        op.f("uq_validation_events_idempotency_key"), "validation_events", type_="unique"
    )
    op.create_index(
        op.f("ix_validation_events_reviewer_id_detection_id"),
        "validation_events",
        ["reviewer_id", "detection_id"],
        unique=False,
    )
    op.create_unique_constraint(
        op.f("uq_validation_events_reviewer_id_idempotency_key"),
        "validation_events",
        ["reviewer_id", "idempotency_key"],
    )
    op.create_index(
        "uq_validation_events_withdrawn",
        "validation_events",
        ["supersedes"],
        unique=True,
        postgresql_where=sa.text("verdict = 'withdrawn'"),
    )
    op.create_foreign_key(
        op.f("fk_validation_events_reviewer_id"),
        "validation_events",
        "users",
        ["reviewer_id"],
        ["id"],
    )
    op.drop_column("validation_events", "reviewer")
    _replace_check(
        "validation_events", "verdict", "verdict IN ('real', 'bogus', 'unsure', 'withdrawn')"
    )
    _add_check(
        "validation_events",
        "stratum",
        "stratum IN ('uncertain', 'random', 'gold', 'suspect', 'repeat')",
    )
    _add_check("validation_events", "time_taken_s", "time_taken_s >= 0")
    _add_check(
        "validation_events",
        "withdrawn_is_of_something",
        "verdict <> 'withdrawn' OR supersedes IS NOT NULL",
    )
    op.execute(_REFUSE)
    op.execute(_APPEND_ONLY)
    op.execute(_NEVER_EMPTIED)


def _restore_events() -> None:
    op.execute("DROP TRIGGER validation_events_append_only ON validation_events")
    op.execute("DROP TRIGGER validation_events_never_emptied ON validation_events")
    op.execute("DROP FUNCTION refuse_change()")
    # What the older schema cannot say is lost: what was withdrawn, and that it was.
    op.execute("ALTER TABLE review_repeats DROP CONSTRAINT fk_review_repeats_answered_by")
    op.execute(
        "DELETE FROM validation_events w WHERE EXISTS (SELECT FROM validation_events u "
        "WHERE u.verdict = 'withdrawn' AND (u.id = w.id OR u.supersedes = w.id))"
    )
    for name in ("withdrawn_is_of_something", "time_taken_s", "stratum"):
        op.drop_constraint(op.f(f"ck_validation_events_{name}"), "validation_events", type_="check")
    _replace_check("validation_events", "verdict", "verdict IN ('real', 'bogus', 'unsure')")
    op.execute("UPDATE validation_events SET idempotency_key = id::text")
    op.add_column(
        "validation_events", sa.Column("reviewer", sa.TEXT(), nullable=True, comment="who judged")
    )
    op.execute(
        "UPDATE validation_events e SET reviewer = u.name FROM users u WHERE u.id = e.reviewer_id"
    )
    op.alter_column("validation_events", "reviewer", nullable=False)
    op.drop_constraint(
        op.f("fk_validation_events_reviewer_id"), "validation_events", type_="foreignkey"
    )
    op.drop_index(
        "uq_validation_events_withdrawn",
        table_name="validation_events",
        postgresql_where=sa.text("verdict = 'withdrawn'"),
    )
    op.drop_constraint(
        op.f("uq_validation_events_reviewer_id_idempotency_key"),
        "validation_events",
        type_="unique",
    )
    op.drop_index(
        op.f("ix_validation_events_reviewer_id_detection_id"), table_name="validation_events"
    )
    op.create_unique_constraint(
        op.f("uq_validation_events_idempotency_key"), "validation_events", ["idempotency_key"]
    )
    op.alter_column(
        "validation_events",
        "idempotency_key",
        existing_type=sa.TEXT(),
        nullable=True,
        comment="client's key; a repeat is the same event",
    )
    op.alter_column(
        "validation_events",
        "supersedes",
        existing_type=sa.UUID(),
        comment="event this one corrects",
        existing_nullable=True,
    )
    op.alter_column(
        "validation_events",
        "cutout_sha256",
        existing_type=sa.TEXT(),
        comment="hash of the cutout the reviewer saw",
        existing_nullable=True,
    )
    op.alter_column(
        "validation_events",
        "model_id",
        existing_type=sa.UUID(),
        nullable=True,
    )
    op.alter_column(
        "validation_events",
        "verdict",
        existing_type=sa.TEXT(),
        comment="real, bogus or unsure",
        existing_nullable=False,
    )
    op.drop_column("validation_events", "time_taken_s")
    op.drop_column("validation_events", "stratum")
    op.drop_column("validation_events", "is_expert")
    op.drop_column("validation_events", "reviewer_id")
    op.drop_column("validation_events", "number")


def _restore_detections() -> None:
    op.drop_index(
        "ix_detections_untouched",
        table_name="detections",
        postgresql_where=sa.text("status = 'active' AND NOT is_validated AND n_verdicts = 0"),
    )
    op.drop_index(
        "ix_detections_uncertainty",
        table_name="detections",
        postgresql_where=sa.text("status = 'active' AND NOT is_validated AND n_verdicts = 0"),
    )
    op.drop_index(
        "ix_detections_validated",
        table_name="detections",
        postgresql_where=sa.text("status = 'active' AND is_validated"),
    )
    op.drop_index(op.f("ix_detections_inherited_from"), table_name="detections")
    op.drop_index(
        "ix_detections_confidence",
        table_name="detections",
        postgresql_where=sa.text("status = 'active'"),
    )
    op.alter_column(
        "detections",
        "is_validated",
        existing_type=sa.BOOLEAN(),
        comment="a consensus exists",
        existing_nullable=False,
        existing_server_default=sa.text("false"),
    )
    op.drop_column("detections", "n_verdicts")


def _restore_consensus() -> None:
    for name in ("decided_has_a_rule", "decided_by"):
        op.drop_constraint(
            op.f(f"ck_detection_consensus_{name}"), "detection_consensus", type_="check"
        )
    op.execute("DELETE FROM detection_consensus WHERE label = 'pending'")
    op.execute("UPDATE detection_consensus SET decided_by = 'none' WHERE decided_by IS NULL")
    _replace_check(
        "detection_consensus", "label", "label IN ('real', 'bogus', 'unsure', 'disputed')"
    )
    op.drop_constraint(
        op.f("fk_detection_consensus_sole_reviewer_id"), "detection_consensus", type_="foreignkey"
    )
    op.drop_index(
        "ix_detection_consensus_undecided",
        table_name="detection_consensus",
        postgresql_include=["detection_id", "sole_reviewer_id", "n_events"],
        postgresql_where=sa.text("decided_by IS NULL"),
    )
    op.drop_index(
        "ix_detection_consensus_suspect",
        table_name="detection_consensus",
        postgresql_include=["detection_id", "sole_reviewer_id", "n_events"],
        postgresql_where=sa.text("decided_by IS NOT NULL"),
    )
    op.alter_column(
        "detection_consensus",
        "decided_by",
        existing_type=sa.TEXT(),
        nullable=False,
        comment="rule that decided",
    )
    op.alter_column(
        "detection_consensus",
        "subtype",
        existing_type=sa.TEXT(),
        comment="agreed subtype",
        existing_nullable=True,
    )
    op.alter_column(
        "detection_consensus",
        "label",
        existing_type=sa.TEXT(),
        comment="real, bogus, unsure or disputed",
        existing_nullable=False,
    )
    op.drop_column("detection_consensus", "disagreement")
    op.drop_column("detection_consensus", "sole_reviewer_id")


def _drop_tables() -> None:
    op.drop_index(
        "uq_review_leases_open",
        table_name="review_leases",
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.drop_index(op.f("ix_review_leases_reviewer_id_number"), table_name="review_leases")
    op.drop_table("review_leases")
    op.drop_index(
        "ix_review_repeats_open",
        table_name="review_repeats",
        postgresql_where=sa.text("answered_by IS NULL"),
    )
    op.drop_index(op.f("ix_review_repeats_detection_id"), table_name="review_repeats")
    op.drop_table("review_repeats")
    op.drop_table("gold_items")
    op.drop_index(op.f("ix_sign_in_sessions_user_id"), table_name="sign_in_sessions")
    op.drop_table("sign_in_sessions")
    op.drop_index(op.f("ix_sign_in_links_user_id"), table_name="sign_in_links")
    op.drop_table("sign_in_links")
    op.drop_index(op.f("ix_api_keys_user_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("users")

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused. Add an event that supersedes instead.',
        TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.alerts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind text NOT NULL,
    severity text NOT NULL,
    fingerprint text NOT NULL,
    message text NOT NULL,
    details jsonb NOT NULL,
    n_seen bigint NOT NULL,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    deliveries jsonb NOT NULL,
    resolved_at timestamp with time zone,
    CONSTRAINT ck_alerts_severity CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'error'::text])))
);
CREATE TABLE public.api_keys (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    secret_sha256 text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone
);
CREATE TABLE public.candidates (
    id uuid NOT NULL,
    difference_run_id uuid NOT NULL,
    x_pix double precision NOT NULL,
    y_pix double precision NOT NULL,
    ra double precision,
    "dec" double precision,
    healpix bigint,
    flux double precision NOT NULL,
    flux_err double precision NOT NULL,
    flux_unit text NOT NULL,
    snr double precision NOT NULL,
    scorr_peak double precision NOT NULL,
    fwhm_pix double precision NOT NULL,
    elongation double precision NOT NULL,
    flags bigint NOT NULL,
    flag_names jsonb NOT NULL,
    is_negative boolean NOT NULL,
    is_injected boolean DEFAULT false NOT NULL,
    cutout_path text NOT NULL,
    cutout_index bigint NOT NULL,
    cutout_sha256 text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_candidates_flux_unit CHECK ((flux_unit = ANY (ARRAY['uJy'::text, 'instrumental'::text]))),
    CONSTRAINT ck_candidates_status CHECK ((status = ANY (ARRAY['active'::text, 'superseded'::text])))
);
CREATE TABLE public.catalogue_answers (
    id uuid NOT NULL,
    catalogue text NOT NULL,
    url text NOT NULL,
    parameters jsonb NOT NULL,
    ra double precision NOT NULL,
    "dec" double precision NOT NULL,
    radius_deg double precision NOT NULL,
    epoch timestamp with time zone,
    sha256 text NOT NULL,
    n_sources bigint NOT NULL,
    sources jsonb NOT NULL,
    fetched_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_catalogue_answers_catalogue CHECK ((catalogue = ANY (ARRAY['gaia'::text, 'vsx'::text, 'skybot'::text])))
);
CREATE TABLE public.crossmatch_runs (
    run_id uuid NOT NULL,
    observation_id uuid NOT NULL,
    catalogue text NOT NULL,
    answer_id uuid,
    status text NOT NULL,
    observatory_code text,
    assumed jsonb DEFAULT '[]'::jsonb NOT NULL,
    n_sightings bigint NOT NULL,
    n_sources bigint,
    n_matches bigint NOT NULL,
    code_version text NOT NULL,
    config_digest text NOT NULL,
    error_type text,
    error_message text,
    wall_s double precision,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_crossmatch_runs_catalogue CHECK ((catalogue = ANY (ARRAY['gaia'::text, 'vsx'::text, 'skybot'::text]))),
    CONSTRAINT ck_crossmatch_runs_status CHECK ((status = ANY (ARRAY['completed'::text, 'failed'::text])))
);
CREATE TABLE public.crossmatches (
    id uuid NOT NULL,
    crossmatch_run_id uuid NOT NULL,
    object_id uuid NOT NULL,
    detection_id uuid NOT NULL,
    catalogue text NOT NULL,
    source_id text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    source_class text,
    rank bigint NOT NULL,
    separation_arcsec double precision NOT NULL,
    ra double precision NOT NULL,
    "dec" double precision NOT NULL,
    epoch timestamp with time zone NOT NULL,
    magnitude double precision,
    band text,
    rate_ra_arcsec_per_h double precision,
    rate_dec_arcsec_per_h double precision,
    position_err_arcsec double precision,
    density_per_arcmin2 double precision NOT NULL,
    chance_probability double precision NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_crossmatches_catalogue CHECK ((catalogue = ANY (ARRAY['gaia'::text, 'vsx'::text, 'skybot'::text]))),
    CONSTRAINT ck_crossmatches_chance_probability CHECK (((chance_probability >= (0)::double precision) AND (chance_probability <= (1)::double precision))),
    CONSTRAINT ck_crossmatches_kind CHECK ((kind = ANY (ARRAY['star'::text, 'variable'::text, 'moving'::text]))),
    CONSTRAINT ck_crossmatches_status CHECK ((status = ANY (ARRAY['active'::text, 'superseded'::text])))
);
CREATE TABLE public.difference_runs (
    run_id uuid NOT NULL,
    observation_id uuid NOT NULL,
    preprocess_run_id uuid NOT NULL,
    reference_id uuid,
    reference_choice jsonb NOT NULL,
    status text NOT NULL,
    difference_fits_path text,
    sha256 text,
    scorr_sigma double precision,
    flux_ratio double precision,
    n_matched bigint,
    registration_rms_pix double precision,
    overlap_fraction double precision,
    masked_fraction double precision,
    fwhm_pix double precision,
    depth_flux double precision,
    degraded_because jsonb DEFAULT '[]'::jsonb NOT NULL,
    code_version text NOT NULL,
    config_digest text NOT NULL,
    error_type text,
    error_message text,
    wall_s double precision,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL,
    scorr_sigma_blank double precision,
    scorr_sigma_sources double precision,
    CONSTRAINT ck_difference_runs_status CHECK ((status = ANY (ARRAY['completed'::text, 'degraded'::text, 'failed'::text, 'no_reference'::text])))
);
CREATE TABLE public.observations (
    id uuid NOT NULL,
    survey_id uuid NOT NULL,
    archive_id text NOT NULL,
    night date NOT NULL,
    field text NOT NULL,
    frame_kind text NOT NULL,
    ra double precision,
    "dec" double precision,
    healpix bigint,
    footprint jsonb,
    observation_time timestamp with time zone,
    mjd_tai double precision,
    filter_band text NOT NULL,
    exposure_s double precision,
    gain_e_adu double precision,
    read_noise_e double precision,
    saturation_adu double precision,
    unit text NOT NULL,
    zero_point_mag double precision,
    instrument text NOT NULL,
    detector text NOT NULL,
    width_pix bigint NOT NULL,
    height_pix bigint NOT NULL,
    assumed jsonb NOT NULL,
    raw_fits_path text NOT NULL,
    raw_hdu bigint NOT NULL,
    raw_sha256 text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_observations_frame_kind CHECK ((frame_kind = ANY (ARRAY['science'::text, 'bias'::text, 'dark'::text, 'flat'::text])))
);
CREATE VIEW public.current_difference_runs AS
 SELECT o.id AS observation_id,
    r.run_id,
    r.preprocess_run_id,
    r.reference_id,
    r.reference_choice,
    r.status,
    r.difference_fits_path,
    r.sha256,
    r.scorr_sigma,
    r.flux_ratio,
    r.n_matched,
    r.registration_rms_pix,
    r.overlap_fraction,
    r.masked_fraction,
    r.fwhm_pix,
    r.depth_flux,
    r.degraded_because,
    r.code_version,
    r.config_digest,
    r.error_type,
    r.error_message,
    r.wall_s,
    r.created_at,
    r.selected_at,
    r.scorr_sigma_blank,
    r.scorr_sigma_sources
   FROM (public.observations o
     CROSS JOIN LATERAL ( SELECT r_1.run_id,
            r_1.observation_id,
            r_1.preprocess_run_id,
            r_1.reference_id,
            r_1.reference_choice,
            r_1.status,
            r_1.difference_fits_path,
            r_1.sha256,
            r_1.scorr_sigma,
            r_1.flux_ratio,
            r_1.n_matched,
            r_1.registration_rms_pix,
            r_1.overlap_fraction,
            r_1.masked_fraction,
            r_1.fwhm_pix,
            r_1.depth_flux,
            r_1.degraded_because,
            r_1.code_version,
            r_1.config_digest,
            r_1.error_type,
            r_1.error_message,
            r_1.wall_s,
            r_1.created_at,
            r_1.selected_at,
            r_1.scorr_sigma_blank,
            r_1.scorr_sigma_sources
           FROM public.difference_runs r_1
          WHERE (r_1.observation_id = o.id)
          ORDER BY (r_1.status = ANY (ARRAY['completed'::text, 'degraded'::text])) DESC, r_1.selected_at DESC, r_1.created_at DESC, r_1.run_id
         LIMIT 1) r);
COMMENT ON VIEW public.current_difference_runs IS 'the newest selected good run of each observation, else its newest without a difference image';
CREATE TABLE public.extraction_runs (
    run_id uuid NOT NULL,
    difference_run_id uuid NOT NULL,
    status text NOT NULL,
    n_candidates bigint,
    filter_counts jsonb,
    cutout_path text,
    sha256 text,
    code_version text NOT NULL,
    config_digest text NOT NULL,
    error_type text,
    error_message text,
    wall_s double precision,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL,
    candidates_per_mpix double precision,
    CONSTRAINT ck_extraction_runs_status CHECK ((status = ANY (ARRAY['completed'::text, 'failed'::text])))
);
CREATE VIEW public.current_extraction_runs AS
 SELECT d.observation_id,
    r.run_id,
    r.difference_run_id,
    r.status,
    r.n_candidates,
    r.filter_counts,
    r.cutout_path,
    r.sha256,
    r.code_version,
    r.config_digest,
    r.error_type,
    r.error_message,
    r.wall_s,
    r.created_at,
    r.selected_at,
    r.candidates_per_mpix
   FROM (public.current_difference_runs d
     CROSS JOIN LATERAL ( SELECT r_1.run_id,
            r_1.difference_run_id,
            r_1.status,
            r_1.n_candidates,
            r_1.filter_counts,
            r_1.cutout_path,
            r_1.sha256,
            r_1.code_version,
            r_1.config_digest,
            r_1.error_type,
            r_1.error_message,
            r_1.wall_s,
            r_1.created_at,
            r_1.selected_at,
            r_1.candidates_per_mpix
           FROM public.extraction_runs r_1
          WHERE (r_1.difference_run_id = d.run_id)
          ORDER BY (r_1.status = ANY (ARRAY['completed'::text, 'degraded'::text])) DESC, r_1.selected_at DESC, r_1.created_at DESC, r_1.run_id
         LIMIT 1) r);
COMMENT ON VIEW public.current_extraction_runs IS 'the newest selected search of each current difference image';
CREATE TABLE public.model_runs (
    run_id uuid NOT NULL,
    difference_run_id uuid NOT NULL,
    model_id uuid NOT NULL,
    status text NOT NULL,
    device text,
    n_detections bigint,
    code_version text NOT NULL,
    config_digest text NOT NULL,
    error_type text,
    error_message text,
    wall_s double precision,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL,
    cutout_path text,
    sha256 text,
    CONSTRAINT ck_model_runs_status CHECK ((status = ANY (ARRAY['completed'::text, 'degraded'::text, 'failed'::text])))
);
CREATE VIEW public.current_model_runs AS
 SELECT o.id AS observation_id,
    r.run_id,
    r.difference_run_id,
    r.model_id,
    r.status,
    r.device,
    r.n_detections,
    r.code_version,
    r.config_digest,
    r.error_type,
    r.error_message,
    r.wall_s,
    r.created_at,
    r.selected_at,
    r.cutout_path,
    r.sha256
   FROM (public.observations o
     CROSS JOIN LATERAL ( SELECT r_1.run_id,
            r_1.difference_run_id,
            r_1.model_id,
            r_1.status,
            r_1.device,
            r_1.n_detections,
            r_1.code_version,
            r_1.config_digest,
            r_1.error_type,
            r_1.error_message,
            r_1.wall_s,
            r_1.created_at,
            r_1.selected_at,
            r_1.cutout_path,
            r_1.sha256
           FROM (public.model_runs r_1
             JOIN public.difference_runs d ON ((d.run_id = r_1.difference_run_id)))
          WHERE (d.observation_id = o.id)
          ORDER BY (r_1.status = ANY (ARRAY['completed'::text, 'degraded'::text])) DESC, r_1.selected_at DESC, r_1.created_at DESC, r_1.run_id
         LIMIT 1) r);
COMMENT ON VIEW public.current_model_runs IS 'the newest selected good judgement of each observation, on whichever of its difference images, else its newest failed one';
CREATE TABLE public.preprocess_runs (
    run_id uuid NOT NULL,
    observation_id uuid NOT NULL,
    calibration_ids jsonb NOT NULL,
    status text NOT NULL,
    processed_fits_path text,
    sha256 text,
    fwhm_pix double precision,
    ellipticity double precision,
    sky double precision,
    sky_noise double precision,
    zero_point_mag double precision,
    depth_mag double precision,
    depth_flux double precision,
    n_stars bigint,
    masked_fraction double precision,
    degraded_because jsonb DEFAULT '[]'::jsonb NOT NULL,
    code_version text NOT NULL,
    config_digest text NOT NULL,
    error_type text,
    error_message text,
    wall_s double precision,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_preprocess_runs_status CHECK ((status = ANY (ARRAY['completed'::text, 'degraded'::text, 'failed'::text])))
);
CREATE VIEW public.current_preprocess_runs AS
 SELECT o.id AS observation_id,
    r.run_id,
    r.calibration_ids,
    r.status,
    r.processed_fits_path,
    r.sha256,
    r.fwhm_pix,
    r.ellipticity,
    r.sky,
    r.sky_noise,
    r.zero_point_mag,
    r.depth_mag,
    r.depth_flux,
    r.n_stars,
    r.masked_fraction,
    r.degraded_because,
    r.code_version,
    r.config_digest,
    r.error_type,
    r.error_message,
    r.wall_s,
    r.created_at,
    r.selected_at
   FROM (public.observations o
     CROSS JOIN LATERAL ( SELECT r_1.run_id,
            r_1.observation_id,
            r_1.calibration_ids,
            r_1.status,
            r_1.processed_fits_path,
            r_1.sha256,
            r_1.fwhm_pix,
            r_1.ellipticity,
            r_1.sky,
            r_1.sky_noise,
            r_1.zero_point_mag,
            r_1.depth_mag,
            r_1.depth_flux,
            r_1.n_stars,
            r_1.masked_fraction,
            r_1.degraded_because,
            r_1.code_version,
            r_1.config_digest,
            r_1.error_type,
            r_1.error_message,
            r_1.wall_s,
            r_1.created_at,
            r_1.selected_at
           FROM public.preprocess_runs r_1
          WHERE (r_1.observation_id = o.id)
          ORDER BY (r_1.status = ANY (ARRAY['completed'::text, 'degraded'::text])) DESC, r_1.selected_at DESC, r_1.created_at DESC, r_1.run_id
         LIMIT 1) r);
COMMENT ON VIEW public.current_preprocess_runs IS 'the newest selected good run of each observation, else its newest failed one';
CREATE TABLE public.reference_frames (
    run_id uuid NOT NULL,
    survey_id uuid NOT NULL,
    set_name text NOT NULL,
    field text NOT NULL,
    filter_band text NOT NULL,
    method text NOT NULL,
    first_night date,
    last_night date,
    n_members bigint NOT NULL,
    ra double precision,
    "dec" double precision,
    footprint jsonb,
    status text NOT NULL,
    reference_fits_path text,
    sha256 text,
    fwhm_pix double precision,
    depth_flux double precision,
    code_version text NOT NULL,
    config_digest text NOT NULL,
    error_type text,
    error_message text,
    wall_s double precision,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_reference_frames_method CHECK ((method = ANY (ARRAY['single'::text, 'coadd'::text]))),
    CONSTRAINT ck_reference_frames_status CHECK ((status = ANY (ARRAY['completed'::text, 'degraded'::text, 'failed'::text])))
);
CREATE VIEW public.current_reference_frames AS
 SELECT DISTINCT ON (survey_id, set_name, field, filter_band) run_id,
    survey_id,
    set_name,
    field,
    filter_band,
    method,
    first_night,
    last_night,
    n_members,
    ra,
    "dec",
    footprint,
    status,
    reference_fits_path,
    sha256,
    fwhm_pix,
    depth_flux,
    code_version,
    config_digest,
    error_type,
    error_message,
    wall_s,
    created_at,
    selected_at
   FROM public.reference_frames r
  WHERE (status = ANY (ARRAY['completed'::text, 'degraded'::text]))
  ORDER BY survey_id, set_name, field, filter_band, (status = 'completed'::text) DESC, selected_at DESC, created_at DESC, run_id;
COMMENT ON VIEW public.current_reference_frames IS 'the newest selected reference of each survey, set, field and filter; a degraded one only where none is completed';
CREATE TABLE public.detection_consensus (
    detection_id uuid NOT NULL,
    label text NOT NULL,
    subtype text,
    n_events bigint NOT NULL,
    decided_by text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    sole_reviewer_id uuid,
    disagreement double precision,
    CONSTRAINT ck_detection_consensus_decided_by CHECK ((decided_by = ANY (ARRAY['expert'::text, 'agreement'::text]))),
    CONSTRAINT ck_detection_consensus_decided_has_a_rule CHECK (((label = ANY (ARRAY['real'::text, 'bogus'::text])) = (decided_by IS NOT NULL))),
    CONSTRAINT ck_detection_consensus_label CHECK ((label = ANY (ARRAY['real'::text, 'bogus'::text, 'unsure'::text, 'pending'::text, 'disputed'::text])))
);
CREATE TABLE public.detections (
    id uuid NOT NULL,
    model_run_id uuid NOT NULL,
    difference_run_id uuid NOT NULL,
    candidate_id uuid,
    x_pix double precision NOT NULL,
    y_pix double precision NOT NULL,
    ra double precision,
    "dec" double precision,
    healpix bigint,
    confidence_score double precision NOT NULL,
    detection_type text NOT NULL,
    is_negative boolean NOT NULL,
    is_validated boolean DEFAULT false NOT NULL,
    inherited_from uuid,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    x_reference_pix double precision,
    y_reference_pix double precision,
    n_verdicts bigint DEFAULT 0 NOT NULL,
    cutout_path text,
    cutout_index bigint,
    cutout_sha256 text,
    CONSTRAINT ck_detections_confidence_score CHECK (((confidence_score >= (0)::double precision) AND (confidence_score <= (1)::double precision))),
    CONSTRAINT ck_detections_cutout CHECK ((num_nulls(cutout_path, cutout_index, cutout_sha256) = ANY (ARRAY[0, 3]))),
    CONSTRAINT ck_detections_detection_type CHECK ((detection_type = ANY (ARRAY['candidate'::text, 'component'::text]))),
    CONSTRAINT ck_detections_status CHECK ((status = ANY (ARRAY['active'::text, 'superseded'::text])))
);
CREATE TABLE public.forced_photometry (
    id uuid NOT NULL,
    object_id uuid NOT NULL,
    difference_run_id uuid NOT NULL,
    forced_run_id uuid NOT NULL,
    x_pix double precision NOT NULL,
    y_pix double precision NOT NULL,
    flux double precision,
    flux_err double precision,
    snr double precision,
    reference_flux double precision,
    reference_flux_err double precision,
    flux_unit text NOT NULL,
    flags bigint NOT NULL,
    flag_names jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_forced_photometry_flux_unit CHECK ((flux_unit = ANY (ARRAY['uJy'::text, 'instrumental'::text])))
);
CREATE TABLE public.forced_runs (
    run_id uuid NOT NULL,
    difference_run_id uuid NOT NULL,
    objects_digest text NOT NULL,
    status text NOT NULL,
    n_measured bigint,
    n_masked bigint,
    code_version text NOT NULL,
    config_digest text NOT NULL,
    error_type text,
    error_message text,
    wall_s double precision,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_forced_runs_status CHECK ((status = ANY (ARRAY['completed'::text, 'failed'::text])))
);
CREATE TABLE public.gold_items (
    detection_id uuid NOT NULL,
    verdict text NOT NULL,
    subtype text,
    taxonomy_version text NOT NULL,
    declared_by uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    retired_at timestamp with time zone,
    CONSTRAINT ck_gold_items_verdict CHECK ((verdict = ANY (ARRAY['real'::text, 'bogus'::text])))
);
CREATE TABLE public.ingest_runs (
    run_id uuid NOT NULL,
    survey_id uuid NOT NULL,
    night date NOT NULL,
    source text NOT NULL,
    sha256 text,
    n_observations bigint NOT NULL,
    status text NOT NULL,
    code_version text NOT NULL,
    config_digest text NOT NULL,
    error_type text,
    error_message text,
    wall_s double precision,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_ingest_runs_status CHECK ((status = ANY (ARRAY['completed'::text, 'failed'::text])))
);
CREATE TABLE public.label_snapshots (
    id uuid NOT NULL,
    digest text NOT NULL,
    code_version text NOT NULL,
    n_real bigint NOT NULL,
    n_bogus bigint NOT NULL,
    n_undecided bigint NOT NULL,
    by_label jsonb NOT NULL,
    by_survey jsonb NOT NULL,
    by_subtype jsonb NOT NULL,
    by_role jsonb NOT NULL,
    covered_xact bigint,
    covered_event_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.models (
    id uuid NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    architecture jsonb NOT NULL,
    weights_path text NOT NULL,
    sha256 text NOT NULL,
    card jsonb NOT NULL,
    mlflow_run_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.object_detections (
    detection_id uuid NOT NULL,
    object_id uuid NOT NULL,
    field_id uuid NOT NULL,
    separation_pix double precision NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_object_detections_status CHECK ((status = ANY (ARRAY['active'::text, 'superseded'::text])))
);
CREATE TABLE public.objects (
    id uuid NOT NULL,
    survey_id uuid NOT NULL,
    field text NOT NULL,
    field_id uuid NOT NULL,
    ra double precision,
    "dec" double precision,
    healpix bigint,
    reference_id uuid,
    x_reference_pix double precision,
    y_reference_pix double precision,
    best_detection_id uuid NOT NULL,
    first_seen timestamp with time zone,
    last_seen timestamp with time zone,
    n_detections bigint NOT NULL,
    snr double precision,
    confidence_score double precision NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_objects_status CHECK ((status = ANY (ARRAY['active'::text, 'superseded'::text])))
);
CREATE VIEW public.observation_status AS
 SELECT o.id AS observation_id,
    s.stage,
    s.status,
    s.run_id,
    s.error_type,
    s.error_message
   FROM (public.observations o
     CROSS JOIN LATERAL ( SELECT stages."position",
            stages.stage,
            stages.status,
            stages.run_id,
            stages.error_type,
            stages.error_message
           FROM ( SELECT 0 AS "position",
                    'ingest'::text AS stage,
                    'completed'::text AS status,
                    NULL::uuid AS run_id,
                    NULL::text AS error_type,
                    NULL::text AS error_message
                UNION ALL
                 SELECT 1,
                    'preprocess'::text,
                    r.status,
                    r.run_id,
                    r.error_type,
                    r.error_message
                   FROM public.current_preprocess_runs r
                  WHERE (r.observation_id = o.id)
                UNION ALL
                 SELECT 2,
                    'difference'::text,
                    r.status,
                    r.run_id,
                    r.error_type,
                    r.error_message
                   FROM public.current_difference_runs r
                  WHERE (r.observation_id = o.id)
                UNION ALL
                 SELECT 3,
                    'extraction'::text,
                    r.status,
                    r.run_id,
                    r.error_type,
                    r.error_message
                   FROM public.current_extraction_runs r
                  WHERE (r.observation_id = o.id)
                UNION ALL
                 SELECT 4,
                    'model'::text,
                    r.status,
                    r.run_id,
                    r.error_type,
                    r.error_message
                   FROM public.current_model_runs r
                  WHERE (r.observation_id = o.id)) stages
          ORDER BY stages."position" DESC
         LIMIT 1) s);
COMMENT ON VIEW public.observation_status IS 'the furthest stage each observation has reached, and how that went';
CREATE TABLE public.promotions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    training_run_id uuid,
    dataset_id uuid,
    model_id uuid NOT NULL,
    champion_id uuid NOT NULL,
    decision text NOT NULL,
    reason text NOT NULL,
    comparison jsonb NOT NULL,
    decided_by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_promotions_decision CHECK ((decision = ANY (ARRAY['promoted'::text, 'kept'::text, 'reverted'::text])))
);
CREATE TABLE public.reference_members (
    reference_id uuid NOT NULL,
    preprocess_run_id uuid NOT NULL,
    rank bigint NOT NULL,
    weight double precision NOT NULL,
    rejected_because text
);
CREATE TABLE public.review_leases (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    number bigint NOT NULL,
    detection_id uuid NOT NULL,
    reviewer_id uuid NOT NULL,
    stratum text NOT NULL,
    repeat_id uuid,
    leased_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT ck_review_leases_stratum CHECK ((stratum = ANY (ARRAY['uncertain'::text, 'random'::text, 'gold'::text, 'suspect'::text, 'repeat'::text])))
);
ALTER TABLE public.review_leases ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.review_leases_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.review_repeats (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    detection_id uuid NOT NULL,
    reviewer_id uuid NOT NULL,
    declared_by uuid NOT NULL,
    due_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    answered_by uuid
);
CREATE TABLE public.sign_in_links (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    secret_sha256 text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);
CREATE TABLE public.sign_in_sessions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    secret_sha256 text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone
);
CREATE TABLE public.snapshot_labels (
    snapshot_id uuid NOT NULL,
    detection_id uuid NOT NULL,
    label text NOT NULL,
    subtype text,
    n_events bigint NOT NULL,
    decided_by text,
    CONSTRAINT ck_snapshot_labels_decided_by CHECK ((decided_by = ANY (ARRAY['expert'::text, 'agreement'::text]))),
    CONSTRAINT ck_snapshot_labels_label CHECK ((label = ANY (ARRAY['real'::text, 'bogus'::text, 'unsure'::text, 'pending'::text, 'disputed'::text])))
);
CREATE TABLE public.survey_depth (
    id uuid NOT NULL,
    survey_id uuid NOT NULL,
    night date NOT NULL,
    filter_band text NOT NULL,
    run_ids jsonb NOT NULL,
    n_frames bigint NOT NULL,
    n_injected bigint NOT NULL,
    n_recovered bigint NOT NULL,
    n_masked bigint NOT NULL,
    n_unmatched bigint NOT NULL,
    searched_mpix double precision NOT NULL,
    masked_fraction double precision NOT NULL,
    snr50 double precision,
    snr50_err double precision,
    m50_mag double precision,
    m50_err_mag double precision,
    environments jsonb NOT NULL,
    unmatched_by_snr jsonb NOT NULL,
    unmatched_by_magnitude jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.survey_depth_runs (
    run_id uuid NOT NULL,
    observation_id uuid NOT NULL,
    difference_run_id uuid NOT NULL,
    reference_id uuid NOT NULL,
    status text NOT NULL,
    n_injected bigint,
    n_recovered bigint,
    n_masked bigint,
    n_unmatched bigint,
    searched_mpix double precision,
    masked_fraction double precision,
    zero_point_mag double precision,
    injections jsonb,
    unmatched jsonb,
    degraded_because jsonb DEFAULT '[]'::jsonb NOT NULL,
    code_version text NOT NULL,
    config_digest text NOT NULL,
    error_type text,
    error_message text,
    wall_s double precision,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    selected_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_survey_depth_runs_status CHECK ((status = ANY (ARRAY['completed'::text, 'degraded'::text, 'failed'::text])))
);
CREATE TABLE public.surveys (
    id uuid NOT NULL,
    name text NOT NULL,
    adapter text NOT NULL,
    config jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.training_data_health (
    day date NOT NULL,
    window_days integer NOT NULL,
    n_validated bigint NOT NULL,
    quality jsonb NOT NULL,
    quality_score double precision,
    drift jsonb NOT NULL,
    code_version text NOT NULL,
    measured_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.training_datasets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name character varying(255) NOT NULL,
    description text,
    collection_params jsonb NOT NULL,
    total_samples integer NOT NULL,
    anomaly_ratio double precision NOT NULL,
    quality_score double precision NOT NULL,
    created_at timestamp with time zone DEFAULT now(),
    created_by character varying(255) NOT NULL,
    status character varying(50) DEFAULT 'active'::character varying,
    status_reason text,
    version integer NOT NULL,
    digest text NOT NULL,
    code_version text NOT NULL,
    snapshot_id uuid,
    shards jsonb NOT NULL,
    n_by_split jsonb NOT NULL,
    n_dropped jsonb NOT NULL,
    quality jsonb NOT NULL,
    audit jsonb NOT NULL,
    dagster_run_id text,
    mlflow_run_id text,
    CONSTRAINT ck_training_datasets_reason CHECK ((((status)::text = 'active'::text) OR (status_reason IS NOT NULL))),
    CONSTRAINT ck_training_datasets_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'provisional'::character varying, 'quality_failed'::character varying])::text[])))
);
CREATE TABLE public.training_groups (
    kind text NOT NULL,
    key text NOT NULL,
    split text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_training_groups_kind CHECK ((kind = ANY (ARRAY['cell'::text, 'night'::text]))),
    CONSTRAINT ck_training_groups_split CHECK (((split = ANY (ARRAY['train'::text, 'val'::text, 'test'::text])) AND ((kind = 'cell'::text) OR (split <> 'val'::text))))
);
CREATE TABLE public.training_runs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    dataset_id uuid,
    model_id uuid,
    mlflow_run_id character varying(255),
    training_params jsonb NOT NULL,
    performance_metrics jsonb,
    status character varying(50) DEFAULT 'running'::character varying,
    started_at timestamp with time zone DEFAULT now(),
    completed_at timestamp with time zone,
    parent_model_id uuid,
    code_version text NOT NULL,
    reason text NOT NULL,
    requested_by text NOT NULL,
    dagster_run_id text,
    error_type text,
    error_message text,
    CONSTRAINT ck_training_runs_status CHECK (((status)::text = ANY ((ARRAY['running'::character varying, 'completed'::character varying, 'failed'::character varying])::text[])))
);
CREATE TABLE public.training_samples (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    dataset_id uuid,
    detection_id uuid,
    image_path character varying(500) NOT NULL,
    mask_path character varying(500) NOT NULL,
    labels jsonb NOT NULL,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT now(),
    observation_id uuid NOT NULL,
    "position" integer NOT NULL,
    shard_index integer NOT NULL,
    sha256 text NOT NULL,
    split text NOT NULL,
    group_key text NOT NULL,
    label_source text NOT NULL,
    CONSTRAINT ck_training_samples_label_source CHECK ((label_source = ANY (ARRAY['human'::text, 'model'::text, 'injection'::text]))),
    CONSTRAINT ck_training_samples_of_a_detection CHECK (((label_source = 'injection'::text) = (detection_id IS NULL))),
    CONSTRAINT ck_training_samples_only_people_s_labels_measure CHECK (((label_source = 'human'::text) OR (split = 'train'::text))),
    CONSTRAINT ck_training_samples_split CHECK ((split = ANY (ARRAY['train'::text, 'val'::text, 'test'::text])))
);
CREATE TABLE public.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    is_expert boolean DEFAULT false NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_users_role CHECK ((role = ANY (ARRAY['viewer'::text, 'reviewer'::text, 'operator'::text])))
);
CREATE TABLE public.validation_events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    detection_id uuid NOT NULL,
    verdict text NOT NULL,
    subtype text,
    taxonomy_version text NOT NULL,
    note text,
    model_id uuid NOT NULL,
    cutout_sha256 text,
    supersedes uuid,
    idempotency_key text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    xact xid8 DEFAULT pg_current_xact_id() NOT NULL,
    number bigint NOT NULL,
    reviewer_id uuid NOT NULL,
    is_expert boolean NOT NULL,
    stratum text,
    time_taken_s double precision,
    CONSTRAINT ck_validation_events_stratum CHECK ((stratum = ANY (ARRAY['uncertain'::text, 'random'::text, 'gold'::text, 'suspect'::text, 'repeat'::text]))),
    CONSTRAINT ck_validation_events_time_taken_s CHECK ((time_taken_s >= (0)::double precision)),
    CONSTRAINT ck_validation_events_verdict CHECK ((verdict = ANY (ARRAY['real'::text, 'bogus'::text, 'unsure'::text, 'withdrawn'::text]))),
    CONSTRAINT ck_validation_events_withdrawn_is_of_something CHECK (((verdict <> 'withdrawn'::text) OR (supersedes IS NOT NULL)))
);
ALTER TABLE public.validation_events ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.validation_events_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO public.alembic_version VALUES
	('0010');
INSERT INTO public.candidates VALUES
	('ab9b624a-caf4-5738-8707-aa930f0fe6cc', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 0, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140', 'active', '2026-11-26 16:01:09.071198+00'),
	('90cd2848-d7e1-5f99-9b87-76f30aacb009', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 20, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4', 'active', '2026-11-26 16:01:09.071198+00'),
	('cb87e094-c037-5699-8dc3-536f4ef00aab', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 40, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae', 'active', '2026-11-26 16:01:09.071198+00'),
	('cc229229-ee3e-5e90-ba86-e9a85763a790', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 60, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d', 'active', '2026-11-26 16:01:09.071198+00'),
	('699174a3-80ae-5948-9305-917532cbbdfb', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 80, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '79b4ebecb84d4c6a19bbf4a89f51c9a8bbe9c475bc5b04dbcc5a24b5e1079f88', 'active', '2026-11-26 16:01:09.071198+00'),
	('c000bbef-a14a-5879-ac76-030cc3e41873', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 100, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd', 'active', '2026-11-26 16:01:09.071198+00'),
	('0b263217-a796-5a79-8af8-92d388dafeb7', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 120, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'fff356ce4f125fdc3c2d819e59abed7a8478bc5180dab757ce2ba95d18e87674', 'active', '2026-11-26 16:01:09.071198+00'),
	('b2666321-a8e8-541c-a941-cbca13a017d6', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 140, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'bc543beda4daca26d29f38e997f34a78cbfcd0fb2ca003881d448975afdf4f08', 'active', '2026-11-26 16:01:09.071198+00'),
	('df0f8ebc-1dbc-56ca-98b9-e32139f0c803', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 160, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'd8144d702ea1b0b48cd1719e5f0105e9b6285ddbfc6d4d39683bfbd1c7b4ec03', 'active', '2026-11-26 16:01:09.071198+00'),
	('af2cc180-7dd9-5431-a7ab-9240e2de9bb8', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 180, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'e3c53895ee8ffd3e9d7f63f03f97976ea39cd0cb6cbe6ad8ee22c0c2c9c6b284', 'active', '2026-11-26 16:01:09.071198+00'),
	('90aa3594-7a2d-5c7f-ba7c-eaf924421fab', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 200, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '6857ad5f06933e4af6396c61d608b90f834f85cf42d8d55e59de7c94037facf1', 'active', '2026-11-26 16:01:09.071198+00'),
	('58e79a23-3e18-5484-adac-5acceaded255', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 220, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '71f84554ef23ee49eae6e4066f2a46834e01644b29c138e3e6fe3feef36d9000', 'active', '2026-11-26 16:01:09.071198+00'),
	('300b0c7b-f900-5216-8b5f-717a70167b8e', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 240, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'ab443950b7c5e79a6fbe90258a5585470242f412d3ec86b82b63f5dc0486f4f4', 'active', '2026-11-26 16:01:09.071198+00'),
	('e44b0b98-f643-5dda-a386-279f3533e3d8', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 260, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '8a8cb035c554ce37614555d4c3b8b7916034cb0b74db76f8d4ce81baed84b55b', 'active', '2026-11-26 16:01:09.071198+00'),
	('78bde991-1af1-51c8-98eb-e2f795b5a4b2', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 280, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '27896d4e143705894d9589bc095e67a8ba5c9a1f1a9a0ccc11a9093c0bddd97c', 'active', '2026-11-26 16:01:09.071198+00'),
	('e8ad73b0-da91-5c1f-abab-3708fa04ade9', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 300, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '60d598ceaf05ec9b8b2e2c3db29b17340b94bb551463bf0c0971eaa8282a0b2a', 'active', '2026-11-26 16:01:09.071198+00'),
	('8f99f445-965a-5cff-896e-5dc79d47d1b7', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 320, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '2f6fa2684cd37e4cbee02a0ec409243db0b4e58942ce2ace4a0291992ff8ba96', 'active', '2026-11-26 16:01:09.071198+00'),
	('094202ee-ea7c-5d0d-b151-92d1be19bd41', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 340, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '64fceb988a4feb718c58c52d57cbd9ae7cead3182895d125b883406a31d5999d', 'active', '2026-11-26 16:01:09.071198+00'),
	('a3c731fe-2db9-5723-992d-795629a94915', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 360, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '73cee2913272156693093c93d5a14c613ebd071897faebfc14a513ae371ee7e7', 'active', '2026-11-26 16:01:09.071198+00'),
	('7a4f555e-9344-5a0e-a44d-46c42f36c89a', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 380, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '47e7c4638f05fa8e3385e7af51911b3b244467b523fd2d34ca8e95b98f7a108d', 'active', '2026-11-26 16:01:09.071198+00'),
	('0971d7d4-b823-5b4d-95e7-a097825840bf', '11d13ad7-cd32-58d7-927b-3f8981366489', 0, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140', 'active', '2026-11-26 16:01:09.071198+00'),
	('7225fd9d-59fd-5d36-9e8d-dc4d8768bbe5', '11d13ad7-cd32-58d7-927b-3f8981366489', 20, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4', 'active', '2026-11-26 16:01:09.071198+00'),
	('a989a311-d5c0-5bba-9868-ad61a37f06cb', '11d13ad7-cd32-58d7-927b-3f8981366489', 40, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae', 'active', '2026-11-26 16:01:09.071198+00'),
	('10e70e60-6b10-5710-92b8-0a7d90ba674c', '11d13ad7-cd32-58d7-927b-3f8981366489', 60, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d', 'active', '2026-11-26 16:01:09.071198+00'),
	('e95acda9-e0f2-5455-b3e0-42f80a29dfd2', '11d13ad7-cd32-58d7-927b-3f8981366489', 80, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '79b4ebecb84d4c6a19bbf4a89f51c9a8bbe9c475bc5b04dbcc5a24b5e1079f88', 'active', '2026-11-26 16:01:09.071198+00'),
	('06b1e0bc-eeca-540e-8c1c-cad5603514e7', '11d13ad7-cd32-58d7-927b-3f8981366489', 100, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd', 'active', '2026-11-26 16:01:09.071198+00'),
	('ad5c58d2-5ea2-5107-8913-1216f18855ee', '11d13ad7-cd32-58d7-927b-3f8981366489', 120, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'fff356ce4f125fdc3c2d819e59abed7a8478bc5180dab757ce2ba95d18e87674', 'active', '2026-11-26 16:01:09.071198+00'),
	('392a871b-2d74-5ae0-bad3-9d67ea53967e', '11d13ad7-cd32-58d7-927b-3f8981366489', 140, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'bc543beda4daca26d29f38e997f34a78cbfcd0fb2ca003881d448975afdf4f08', 'active', '2026-11-26 16:01:09.071198+00'),
	('a226122a-62cd-560b-ac53-93e6471d2143', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 0, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140', 'active', '2026-11-26 16:01:09.071198+00'),
	('b40edc3b-8f2b-5856-911e-fb901b092187', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 20, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4', 'active', '2026-11-26 16:01:09.071198+00'),
	('6c82e0ee-4d27-568b-a2bd-d85499b25221', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 40, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae', 'active', '2026-11-26 16:01:09.071198+00'),
	('0f5260d6-b0b7-50f7-8a3e-36d0cc467a46', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 60, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d', 'active', '2026-11-26 16:01:09.071198+00'),
	('685c0832-8b98-5e23-9562-40e185ed0ce4', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 80, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '79b4ebecb84d4c6a19bbf4a89f51c9a8bbe9c475bc5b04dbcc5a24b5e1079f88', 'active', '2026-11-26 16:01:09.071198+00'),
	('98db9310-8c4a-5f27-930e-291a91dbcce4', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 100, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd', 'active', '2026-11-26 16:01:09.071198+00'),
	('3c07ac14-5891-5150-b79f-61ae777b3fc4', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 120, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'fff356ce4f125fdc3c2d819e59abed7a8478bc5180dab757ce2ba95d18e87674', 'active', '2026-11-26 16:01:09.071198+00'),
	('4671aa3e-570f-5cdc-a826-8edfc0fa4a2d', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 140, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'bc543beda4daca26d29f38e997f34a78cbfcd0fb2ca003881d448975afdf4f08', 'active', '2026-11-26 16:01:09.071198+00');
INSERT INTO public.detection_consensus VALUES
	('d2c8c062-0b26-57b4-9954-4bf7c75baae8', 'pending', NULL, 1, NULL, '2026-11-26 16:01:09.071198+00', '9bab298e-6577-4cb1-a7a7-58f867f2afce', NULL),
	('62c90f40-ed20-51ed-86b9-3fa844319b27', 'real', NULL, 2, 'expert', '2026-11-26 16:01:09.071198+00', NULL, 0.9),
	('db3579b5-5e76-524a-9fcd-46de0736bc43', 'real', NULL, 2, 'expert', '2026-11-26 16:01:09.071198+00', NULL, 0.8),
	('dfb196fe-d244-5ecb-8717-9188f0057d88', 'real', NULL, 2, 'expert', '2026-11-26 16:01:09.071198+00', NULL, 0.7),
	('51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'real', NULL, 2, 'expert', '2026-11-26 16:01:09.071198+00', NULL, 0.6);
INSERT INTO public.detections VALUES
	('0ae0053b-6714-5f2c-8d73-7c427d3b9358', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'ab9b624a-caf4-5738-8707-aa930f0fe6cc', 0, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140'),
	('bee597aa-03b3-5a83-a0cb-983a0fe971ee', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', '90cd2848-d7e1-5f99-9b87-76f30aacb009', 20, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4'),
	('7318962a-9dc8-508f-bb87-e874cdb61076', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'cb87e094-c037-5699-8dc3-536f4ef00aab', 40, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae'),
	('63daae13-100e-5676-a5c8-a0f3c472caad', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'cc229229-ee3e-5e90-ba86-e9a85763a790', 60, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d'),
	('05371a73-7db8-5704-8b2c-88412af35b8a', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', '699174a3-80ae-5948-9305-917532cbbdfb', 80, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '79b4ebecb84d4c6a19bbf4a89f51c9a8bbe9c475bc5b04dbcc5a24b5e1079f88'),
	('c4089000-6656-55c8-849c-a8eeaa2e2a1f', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'c000bbef-a14a-5879-ac76-030cc3e41873', 100, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd'),
	('426832ad-4902-57c9-b1d5-883810e0c9e8', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', '0b263217-a796-5a79-8af8-92d388dafeb7', 120, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'fff356ce4f125fdc3c2d819e59abed7a8478bc5180dab757ce2ba95d18e87674'),
	('66ae8bd7-b479-57c6-bd42-f0698ed99805', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'b2666321-a8e8-541c-a941-cbca13a017d6', 140, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'bc543beda4daca26d29f38e997f34a78cbfcd0fb2ca003881d448975afdf4f08'),
	('231b36c6-0f86-5924-9dbe-67c776e3d416', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'df0f8ebc-1dbc-56ca-98b9-e32139f0c803', 160, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'd8144d702ea1b0b48cd1719e5f0105e9b6285ddbfc6d4d39683bfbd1c7b4ec03'),
	('4b6b487b-1699-512d-80cd-c532605fe2ee', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'af2cc180-7dd9-5431-a7ab-9240e2de9bb8', 180, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'e3c53895ee8ffd3e9d7f63f03f97976ea39cd0cb6cbe6ad8ee22c0c2c9c6b284'),
	('5e031fe6-af3b-5605-8c79-d593dbe282dc', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', '90aa3594-7a2d-5c7f-ba7c-eaf924421fab', 200, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '6857ad5f06933e4af6396c61d608b90f834f85cf42d8d55e59de7c94037facf1'),
	('48094ce7-5b52-5853-b351-ac3eccd781fd', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', '58e79a23-3e18-5484-adac-5acceaded255', 220, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '71f84554ef23ee49eae6e4066f2a46834e01644b29c138e3e6fe3feef36d9000'),
	('6fb5e57c-8566-5205-ba7a-1512faf5cc96', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', '300b0c7b-f900-5216-8b5f-717a70167b8e', 240, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'ab443950b7c5e79a6fbe90258a5585470242f412d3ec86b82b63f5dc0486f4f4'),
	('9907be0b-627a-5629-b768-cffa7405d1ff', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'e44b0b98-f643-5dda-a386-279f3533e3d8', 260, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '8a8cb035c554ce37614555d4c3b8b7916034cb0b74db76f8d4ce81baed84b55b'),
	('2771cdd1-42c8-5fad-8d1d-17e1d63fac76', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', '78bde991-1af1-51c8-98eb-e2f795b5a4b2', 280, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '27896d4e143705894d9589bc095e67a8ba5c9a1f1a9a0ccc11a9093c0bddd97c'),
	('e7b4569e-0a16-5c56-a475-9d3a5d75a50d', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'e8ad73b0-da91-5c1f-abab-3708fa04ade9', 300, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '60d598ceaf05ec9b8b2e2c3db29b17340b94bb551463bf0c0971eaa8282a0b2a'),
	('e275a307-3c1e-5dfa-9871-d035f8b16270', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', '8f99f445-965a-5cff-896e-5dc79d47d1b7', 320, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '2f6fa2684cd37e4cbee02a0ec409243db0b4e58942ce2ace4a0291992ff8ba96'),
	('275b264b-d385-5d31-bf0c-2e53ff3175fb', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', '094202ee-ea7c-5d0d-b151-92d1be19bd41', 340, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '64fceb988a4feb718c58c52d57cbd9ae7cead3182895d125b883406a31d5999d'),
	('26d89e1b-843c-5d7f-a643-cf2495087814', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'a3c731fe-2db9-5723-992d-795629a94915', 360, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '73cee2913272156693093c93d5a14c613ebd071897faebfc14a513ae371ee7e7'),
	('8fce146c-0cdc-563e-a5d9-e2fc95723bca', '49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', '7a4f555e-9344-5a0e-a44d-46c42f36c89a', 380, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '47e7c4638f05fa8e3385e7af51911b3b244467b523fd2d34ca8e95b98f7a108d'),
	('14a6ab57-39de-593a-974c-339fd6667eca', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', 'e95acda9-e0f2-5455-b3e0-42f80a29dfd2', 80, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '79b4ebecb84d4c6a19bbf4a89f51c9a8bbe9c475bc5b04dbcc5a24b5e1079f88'),
	('450bbf0e-b1a6-5bcb-b815-22fa40c2b5a9', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', 'ad5c58d2-5ea2-5107-8913-1216f18855ee', 120, 30, NULL, NULL, NULL, 0.7000000000000001, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'fff356ce4f125fdc3c2d819e59abed7a8478bc5180dab757ce2ba95d18e87674'),
	('aacc68c3-f619-5468-81a5-2da48448c788', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', '392a871b-2d74-5ae0-bad3-9d67ea53967e', 140, 30, NULL, NULL, NULL, 0.8, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'bc543beda4daca26d29f38e997f34a78cbfcd0fb2ca003881d448975afdf4f08'),
	('62c90f40-ed20-51ed-86b9-3fa844319b27', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', '0971d7d4-b823-5b4d-95e7-a097825840bf', 0, 30, NULL, NULL, NULL, 0.1, 'candidate', false, true, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 2, 'cutouts/x.fits', 0, '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140'),
	('db3579b5-5e76-524a-9fcd-46de0736bc43', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', '7225fd9d-59fd-5d36-9e8d-dc4d8768bbe5', 20, 30, NULL, NULL, NULL, 0.2, 'candidate', false, true, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 2, 'cutouts/x.fits', 0, '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4'),
	('dfb196fe-d244-5ecb-8717-9188f0057d88', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', 'a989a311-d5c0-5bba-9868-ad61a37f06cb', 40, 30, NULL, NULL, NULL, 0.30000000000000004, 'candidate', false, true, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 2, 'cutouts/x.fits', 0, 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae'),
	('51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', '10e70e60-6b10-5710-92b8-0a7d90ba674c', 60, 30, NULL, NULL, NULL, 0.4, 'candidate', false, true, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 2, 'cutouts/x.fits', 0, '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d'),
	('d2c8c062-0b26-57b4-9954-4bf7c75baae8', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', '06b1e0bc-eeca-540e-8c1c-cad5603514e7', 100, 30, NULL, NULL, NULL, 0.6000000000000001, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 1, 'cutouts/x.fits', 0, '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd'),
	('998617e4-c8af-5c60-b8f4-20bdfd624a8a', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '685c0832-8b98-5e23-9562-40e185ed0ce4', 80, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '79b4ebecb84d4c6a19bbf4a89f51c9a8bbe9c475bc5b04dbcc5a24b5e1079f88'),
	('2f44628b-ecaa-5c86-b31b-edd40ad28243', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '98db9310-8c4a-5f27-930e-291a91dbcce4', 100, 30, NULL, NULL, NULL, 0.6000000000000001, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd'),
	('ba0fc5c7-24af-5e0e-a887-a33ea2454fbd', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '3c07ac14-5891-5150-b79f-61ae777b3fc4', 120, 30, NULL, NULL, NULL, 0.7000000000000001, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'fff356ce4f125fdc3c2d819e59abed7a8478bc5180dab757ce2ba95d18e87674'),
	('4e0ae230-d1db-557e-9522-e758cd9fae75', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '4671aa3e-570f-5cdc-a826-8edfc0fa4a2d', 140, 30, NULL, NULL, NULL, 0.8, 'candidate', false, false, NULL, 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'bc543beda4daca26d29f38e997f34a78cbfcd0fb2ca003881d448975afdf4f08'),
	('185879d9-92b6-5cb3-bb12-afb078d00514', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '0f5260d6-b0b7-50f7-8a3e-36d0cc467a46', 60, 30, NULL, NULL, NULL, 0.4, 'candidate', false, true, '51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d'),
	('8a49eb54-0698-5e6a-ae0c-506a433391a6', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 'b40edc3b-8f2b-5856-911e-fb901b092187', 20, 30, NULL, NULL, NULL, 0.2, 'candidate', false, true, 'db3579b5-5e76-524a-9fcd-46de0736bc43', 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4'),
	('95a5bef9-9f2b-507e-86f9-284354ffe80c', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 'a226122a-62cd-560b-ac53-93e6471d2143', 0, 30, NULL, NULL, NULL, 0.1, 'candidate', false, true, '62c90f40-ed20-51ed-86b9-3fa844319b27', 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140'),
	('a41aa9e2-6cf7-55b3-84a0-c83ab6469017', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '6c82e0ee-4d27-568b-a2bd-d85499b25221', 40, 30, NULL, NULL, NULL, 0.30000000000000004, 'candidate', false, true, 'dfb196fe-d244-5ecb-8717-9188f0057d88', 'active', '2026-11-26 16:01:09.071198+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae');
INSERT INTO public.difference_runs VALUES
	('11d13ad7-cd32-58d7-927b-3f8981366489', 'ba3e19ff-9487-5511-89bc-a767e0c46fca', '174b7e7b-588b-5ea0-9cb8-f5098a08e0e9', NULL, '[]', 'completed', 'difference_images/11d13ad7-cd32-58d7-927b-3f8981366489.fits', '0a3fa08ec37ae38962558d277386466a5120e5444b0c6ca85c35e9292c305cf6', NULL, NULL, NULL, NULL, NULL, NULL, 3, NULL, '[]', '1', 'c0ffee', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00', NULL, NULL),
	('047507b1-a5cb-5eb7-9355-a3f15a48891a', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', '8d9b594c-1edf-5c88-a87a-c16f77a4a4ed', NULL, '[]', 'completed', 'difference_images/047507b1-a5cb-5eb7-9355-a3f15a48891a.fits', '6a7dd2d738e85d7a223e000c7bf5517401ed12efdc01d0610ebe39558d19c32a', NULL, NULL, NULL, NULL, NULL, NULL, 3, NULL, '[]', '1', 'c0ffee', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00', NULL, NULL),
	('aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 'ba3e19ff-9487-5511-89bc-a767e0c46fca', '174b7e7b-588b-5ea0-9cb8-f5098a08e0e9', NULL, '[]', 'completed', 'difference_images/aa74453b-32ef-5de5-9fa8-ed7f0c589cfd.fits', '9480c01f417dd6890446306e3582f15110f34c5de8131c1b2eaedb23b68f1700', NULL, NULL, NULL, NULL, NULL, NULL, 3, NULL, '[]', '2', 'c0ffee', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00', NULL, NULL);
INSERT INTO public.extraction_runs VALUES
	('77a31564-5d72-5d20-a66f-73c7ad7ab3e2', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'completed', 20, NULL, 'cutouts/x.fits', '086d7eef24853b2dfc1831134f895fb17b219bc48f5d83c40b42cefdd9b2c05c', '1', 'c', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00', NULL),
	('e5a682ab-4513-5e71-82ea-832e25a41efa', '11d13ad7-cd32-58d7-927b-3f8981366489', 'completed', 8, NULL, 'cutouts/x.fits', '086d7eef24853b2dfc1831134f895fb17b219bc48f5d83c40b42cefdd9b2c05c', '1', 'c', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00', NULL),
	('f2c6ef5c-ea08-5bea-94a5-144e60e2efdd', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 'completed', 8, NULL, 'cutouts/x.fits', '086d7eef24853b2dfc1831134f895fb17b219bc48f5d83c40b42cefdd9b2c05c', '1', 'c', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00', NULL);
INSERT INTO public.ingest_runs VALUES
	('5a789334-5571-514b-8b1b-1251fe05baaa', 'a4b27085-4fb1-575d-8991-1b2e22a82841', '2026-09-01', '20260901-000.fits', '7634f90b3a07481594fc8732a7581397f2a5e6d1d8dcbc65b9fdb561a07f68da', 1, 'completed', '1', 'c', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00'),
	('8d52a7c0-273d-53ba-ab41-dd45009824d3', 'a4b27085-4fb1-575d-8991-1b2e22a82841', '2026-09-01', '20260901-001.fits', '72ed23eebd1218f6f20f9998e458810ecd502688b8cfa0e54c0b90b466849724', 1, 'completed', '1', 'c', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00');
INSERT INTO public.label_snapshots VALUES
	('12138629-72a6-54d6-a812-903eca5a7d86', 'd', '1', 4, 0, 1, '{}', '{}', '{}', '{}', NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00');
INSERT INTO public.model_runs VALUES
	('49a8baf7-2ecb-5495-9503-831c41e7b116', '047507b1-a5cb-5eb7-9355-a3f15a48891a', 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', 'completed', 'cpu', 20, '1', 'c0ffee', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00', NULL, NULL),
	('b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', 'completed', 'cpu', 8, '1', 'c0ffee', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00', NULL, NULL),
	('a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 'e688c329-46a3-517c-a40e-7568f1b5397f', 'completed', 'cpu', 8, '2', 'c0ffee', NULL, NULL, NULL, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00', NULL, NULL);
INSERT INTO public.models VALUES
	('e688c329-46a3-517c-a40e-7568f1b5397f', 'test', '2', '{"kind": "BasicUNet"}', 'models/2.safetensors', '4d09102a6f9089b72d478c66b1519089cd415cbd165a7b4486f6f95b00c35b41', '{}', NULL, '2026-11-26 16:01:09.071198+00'),
	('aabfd68f-701b-5e60-ba61-6a9ffd2492d7', 'test', '1', '{"kind": "BasicUNet"}', 'models/1.safetensors', '80fa9ee67489c7102f2f9e862e275361c83c05d01a95de4678fa38ce10ed8365', '{}', NULL, '2026-11-26 16:01:09.071198+00');
INSERT INTO public.observations VALUES
	('60da94e5-e99a-5854-a978-7ad4ffbc8ace', 'a4b27085-4fb1-575d-8991-1b2e22a82841', '20260901-000', '2026-09-01', 'F0', 'science', 10.5, -20.25, 4000000000, '[[10.0, -20.0], [11.0, -20.0], [11.0, -21.0], [10.0, -21.0]]', '2026-09-01 04:00:00+00', 61284.25, 'r', 30, 1.5, NULL, 60000, 'adu', NULL, 'cam', '1', 512, 512, '["read_noise_e"]', 'raw_frames/sim/2026-09-01/20260901-000.fits', 0, '7634f90b3a07481594fc8732a7581397f2a5e6d1d8dcbc65b9fdb561a07f68da', '2026-11-26 16:01:09.071198+00'),
	('ba3e19ff-9487-5511-89bc-a767e0c46fca', 'a4b27085-4fb1-575d-8991-1b2e22a82841', '20260901-001', '2026-09-01', 'F1', 'science', 11.5, -20.25, 4000000001, '[[10.0, -20.0], [11.0, -20.0], [11.0, -21.0], [10.0, -21.0]]', '2026-09-01 04:01:00+00', 61284.25, 'r', 30, 1.5, NULL, 60000, 'adu', NULL, 'cam', '1', 512, 512, '["read_noise_e"]', 'raw_frames/sim/2026-09-01/20260901-001.fits', 0, '72ed23eebd1218f6f20f9998e458810ecd502688b8cfa0e54c0b90b466849724', '2026-11-26 16:01:09.071198+00');
INSERT INTO public.preprocess_runs VALUES
	('8d9b594c-1edf-5c88-a87a-c16f77a4a4ed', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', '[]', 'completed', 'processed_frames/8d9b594c-1edf-5c88-a87a-c16f77a4a4ed.fits', '52b608d9200227dfc2b61f09bf2a2da34850e706bef8411d2f821cdb935bac6f', 2.5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '1', 'c0ffee', NULL, NULL, 1.5, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00'),
	('174b7e7b-588b-5ea0-9cb8-f5098a08e0e9', 'ba3e19ff-9487-5511-89bc-a767e0c46fca', '[]', 'completed', 'processed_frames/174b7e7b-588b-5ea0-9cb8-f5098a08e0e9.fits', '8315f6e81b171c31ef5b47fc00d396f5cc5e452b36ef708084d5ae85dab8b6ee', 2.5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '1', 'c0ffee', NULL, NULL, 1.5, '2026-11-26 16:01:09.071198+00', '2026-11-26 16:01:09.071198+00');
INSERT INTO public.snapshot_labels VALUES
	('12138629-72a6-54d6-a812-903eca5a7d86', 'd2c8c062-0b26-57b4-9954-4bf7c75baae8', 'pending', NULL, 1, NULL),
	('12138629-72a6-54d6-a812-903eca5a7d86', '62c90f40-ed20-51ed-86b9-3fa844319b27', 'real', NULL, 1, 'expert'),
	('12138629-72a6-54d6-a812-903eca5a7d86', 'db3579b5-5e76-524a-9fcd-46de0736bc43', 'real', NULL, 1, 'expert'),
	('12138629-72a6-54d6-a812-903eca5a7d86', 'dfb196fe-d244-5ecb-8717-9188f0057d88', 'real', NULL, 1, 'expert'),
	('12138629-72a6-54d6-a812-903eca5a7d86', '51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'real', NULL, 1, 'expert');
INSERT INTO public.surveys VALUES
	('a4b27085-4fb1-575d-8991-1b2e22a82841', 'sim', 'simulated', '{"name": "sim", "nested": {"a": "α", "b": [1, 2.5, null]}}', '2026-11-26 16:01:09.071198+00');
INSERT INTO public.training_datasets VALUES
	('6952ed9a-7215-4ab7-9994-91652b2b5cdf', 'synthetic', NULL, '{"end": "2026-09-30T00:00:00Z", "name": "synthetic", "seed": 0, "start": "2026-08-30T00:00:00Z", "sampling": "random", "survey_ids": ["sim"], "description": null, "max_samples": 10000, "confidence_threshold": 0.7, "injections_per_frame": 0}', 20, 0.5, 1, '2026-11-26 16:01:09.071198+00', 'test', 'active', NULL, 1, '584c60a73ba5424e976c096ef73a976a3e17784f9f16b5b3938a532dd555ac9a', '1', NULL, '[{"n_bytes": 2688000, "mask_path": "training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy", "n_samples": 20, "image_path": "training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy", "mask_sha256": "42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e", "image_sha256": "ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95"}]', '{}', '{}', '{}', '{}', NULL, NULL);
INSERT INTO public.training_samples VALUES
	('006ae941-6ad0-4396-8dc2-7815d81ef320', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '0ae0053b-6714-5f2c-8d73-7c427d3b9358', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": false, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 17.37619543375054, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.76978671376386, "y_pix": 199.5409735239362, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "32fe5846-7d2e-5378-a968-c3aeaae6c3ba"}}, "scorr_peak": 17.37619543375054, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 0, 0, '31cb2abf87a324cd7947094f4183678f2b8233660506dfd0997bc7d4379e86fc', 'train', 'train-0', 'human'),
	('fe685e33-cfcb-478c-b31d-3ad21e0ab411', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', 'bee597aa-03b3-5a83-a0cb-983a0fe971ee', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": false, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 16.68455098152077, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 100.14019838581342, "y_pix": 200.2289226777816, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "2d995652-e37b-58ce-b6ba-206c5c0628f7"}}, "scorr_peak": 16.68455098152077, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 1, 1, 'c965950ec467f6f3c504e1aab893f4c7abf95e6b0fe751ffb2457bef6535545f', 'train', 'train-0', 'human'),
	('be5b673d-102e-41cb-83ef-9202b42d47f4', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '7318962a-9dc8-508f-bb87-e874cdb61076', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": false, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 7.19816556636445, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.99299371187752, "y_pix": 199.7440140538625, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "f3f9ec40-625b-56da-9b06-a9a3f79be3bb"}}, "scorr_peak": 7.19816556636445, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 2, 2, 'd5e76051a7f1ab389b0480684b87610302c2dbce3ce0e20ebeff843e5387518a', 'train', 'train-0', 'human'),
	('0a8d9087-b4bd-42e2-b374-8fb1d9c820e4', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '63daae13-100e-5676-a5c8-a0f3c472caad', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": false, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 13.389214926139914, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.54787864286537, "y_pix": 200.45794908138961, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "df65e766-e7d8-5054-a895-ec04a167be68"}}, "scorr_peak": 13.389214926139914, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 3, 3, 'f867d124c9804ba442a9eee0f2b00bc80ab4a295f706048c47f5071e142515ed', 'val', 'val-0', 'human'),
	('9f0c2439-ac81-44af-99fd-1cdb19f95f7c', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '05371a73-7db8-5704-8b2c-88412af35b8a', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": false, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 17.826346105700164, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.66626837783939, "y_pix": 199.88665895854433, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "9068f587-36f0-5912-831d-b358ef3b4d2b"}}, "scorr_peak": 17.826346105700164, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 4, 4, '28a519abff9fb2c971220394182687642ff74c046eef7b2b886f57d0ada3dc05', 'test', 'test-0', 'human'),
	('603e2645-6398-4b79-83d6-d027479fb9a7', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', 'c4089000-6656-55c8-849c-a8eeaa2e2a1f', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": true, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 12.80058211651832, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 100.16854125916865, "y_pix": 199.9109080418401, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "2d995652-e37b-58ce-b6ba-206c5c0628f7"}}, "scorr_peak": 12.80058211651832, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 5, 5, '91618bc97aee52f76679a64a9186795dfb3348e79a9a63041a3908f6113b8c33', 'train', 'train-0', 'human'),
	('c1fb7d71-24c6-4693-ad13-012046b5c929', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '426832ad-4902-57c9-b1d5-883810e0c9e8', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": true, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 4.999384180174003, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.87020145624959, "y_pix": 199.5857318601128, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "f3f9ec40-625b-56da-9b06-a9a3f79be3bb"}}, "scorr_peak": 4.999384180174003, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 6, 6, 'a37445b6755eeb7a0c9b1d160b8862f4e384c1006ddc5455407f75492f68c969', 'train', 'train-0', 'human'),
	('2f24f1a5-a373-4f54-bf83-cc521ddb4e17', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '66ae8bd7-b479-57c6-bd42-f0698ed99805', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": true, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 21.48145630345079, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 100.01622933659377, "y_pix": 199.97749755729498, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "edee855b-57b4-5dd1-bf06-764fc71efe85"}}, "scorr_peak": 21.48145630345079, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 7, 7, 'ef871eca65c56a98a15a806b1cc9895ab777399481fd68da9e17622564fda0f8', 'train', 'train-0', 'human'),
	('d8172136-5f7e-4046-9976-98c7a984ec7a', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '231b36c6-0f86-5924-9dbe-67c776e3d416', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": true, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 7.714055444530086, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.76305724724801, "y_pix": 200.43279129869518, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "cb1358b6-12f1-5803-9548-5a30e988ab72"}}, "scorr_peak": 7.714055444530086, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 8, 8, 'bb12327e39e90b1da4e1cba09d7150ae184396c712f9c81580eb451cbc4e450d', 'val', 'val-0', 'human'),
	('33daa89b-2daa-4ea0-b9a5-c23c11b7b1e0', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '4b6b487b-1699-512d-80cd-c532605fe2ee', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": true, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 19.204487449762226, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.78780337622118, "y_pix": 199.5860801455178, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "f22c4d44-a7e1-5802-9fc8-3926e041bcfd"}}, "scorr_peak": 19.204487449762226, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 9, 9, '5096469f9e8fa456d74486fd163a072d9de5c5aa2981d3ea9b00e2a418e572a6', 'test', 'test-0', 'human'),
	('61348097-0ff9-4538-a70a-efae7120a0c3', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '5e031fe6-af3b-5605-8c79-d593dbe282dc', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": false, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 9.400352635883563, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.56236964120599, "y_pix": 200.12007077363822, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "f3f9ec40-625b-56da-9b06-a9a3f79be3bb"}}, "scorr_peak": 9.400352635883563, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 10, 10, '39cf44c1874c874cc79b98d0b862cdb54b151292226ba1ad4f8a1787bc786aaa', 'train', 'train-1', 'human'),
	('49f8cfe9-abd5-4092-b026-4525aded2b5e', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '48094ce7-5b52-5853-b351-ac3eccd781fd', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": false, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 24.981309698255583, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.87542506449486, "y_pix": 200.21054429281972, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "edee855b-57b4-5dd1-bf06-764fc71efe85"}}, "scorr_peak": 24.981309698255583, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 11, 11, '2486da1bcadcaf0c0f5b38ade8fc8a13bbedfee35b6c94c3a45542cec9918001', 'train', 'train-1', 'human'),
	('0c48521f-05b9-405a-b4d1-330ddc7b69aa', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '6fb5e57c-8566-5205-ba7a-1512faf5cc96', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": false, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 4.0717831036320895, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.90287496107008, "y_pix": 200.3045663658183, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "32fe5846-7d2e-5378-a968-c3aeaae6c3ba"}}, "scorr_peak": 4.0717831036320895, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 12, 12, '2e204d395a3ef73cf37d37ba8c593d97d1f701f0833f953213b1d29480625341', 'train', 'train-1', 'human'),
	('0ac0bd93-a00b-4d15-97e8-7c6f1fb4bcf5', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '9907be0b-627a-5629-b768-cffa7405d1ff', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": false, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 15.553937478833198, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 100.32632986153119, "y_pix": 199.62453267122953, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "368238cc-7296-5655-9b6b-e5d993966511"}}, "scorr_peak": 15.553937478833198, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 13, 13, '7e836581a30006e0ef29fcbbb4dbd323704bf817720a65bb14538819b708a01f', 'val', 'val-1', 'human'),
	('162610ef-c96c-413b-8e0d-bca34f74763c', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '2771cdd1-42c8-5fad-8d1d-17e1d63fac76', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": false, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 11.223562595976599, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 100.24878592769915, "y_pix": 199.64419998215186, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "b1b7cf68-c1c1-5a35-988b-680d441af001"}}, "scorr_peak": 11.223562595976599, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 14, 14, '90838f133049f06ba04056dd46ddd906819972a320e04bc6dfe00e8c6ba9e612', 'test', 'test-1', 'human'),
	('74f30213-9ca7-4439-8c04-4d8c8245b550', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', 'e7b4569e-0a16-5c56-a475-9d3a5d75a50d', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": true, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 19.6056680476837, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 100.36683783187985, "y_pix": 199.60630543739973, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "edee855b-57b4-5dd1-bf06-764fc71efe85"}}, "scorr_peak": 19.6056680476837, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 15, 15, '971990010bdd134f8253db7b8c3743a8f6116bb1c58e6414781ee226ca08db0f', 'train', 'train-1', 'human'),
	('c575f389-d36d-464a-afea-01d0d56f895e', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', 'e275a307-3c1e-5dfa-9871-d035f8b16270', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": true, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 9.611938928403903, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.61568227996851, "y_pix": 199.61078587083344, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "32fe5846-7d2e-5378-a968-c3aeaae6c3ba"}}, "scorr_peak": 9.611938928403903, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 16, 16, '8c29cc0a476fcf1044096e3960bfd1944d4f1e192fe9593f091b202db5554f47', 'train', 'train-1', 'human'),
	('b5f06632-1ed9-416f-91bf-5cdb3be28f5d', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '275b264b-d385-5d31-bf0c-2e53ff3175fb', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": true, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 22.001768864183823, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 100.43107870677112, "y_pix": 199.63443280596775, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "2d995652-e37b-58ce-b6ba-206c5c0628f7"}}, "scorr_peak": 22.001768864183823, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 17, 17, '04664287a574523c8e75b7a5e0da8c8d0dfbbddd287516857045530fb7f6a5d1', 'train', 'train-1', 'human'),
	('bf332083-2fc4-427d-a428-10a685f3b9bf', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '26d89e1b-843c-5d7f-a643-cf2495087814', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": true, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 4.710549853870171, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.5645087904556, "y_pix": 199.87258199734413, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "22068058-de9d-5dd5-87ba-be97276b0f78"}}, "scorr_peak": 4.710549853870171, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 18, 18, 'b8170717d05a85ecead097e6708eabbc26f649fe12dcd5326c1e0da1afb94dbe', 'val', 'val-1', 'human'),
	('d5c5e985-3445-4dd3-9cb3-028bb28e6285', '6952ed9a-7215-4ab7-9994-91652b2b5cdf', '8fce146c-0cdc-563e-a5d9-e2fc95723bca', 'training_samples/ab5899051d83564b12be2dc3ed68ced08b27b4a86c31b10f1de9d9e20a13ca95.npy', 'training_samples/42855e2075f146906caae5c521069e2496da17e348da99092d5a3c6e649ade3e.npy', '{"confidence": 1.0, "is_anomaly": true, "anomaly_type": null, "label_source": "human", "reviewer_notes": []}', '{"snr": 18.15084888539226, "mpix": 0.25, "field": "F0", "night": "2026-09-01", "x_pix": 99.70020434036215, "y_pix": 200.05342216417506, "strata": ["random"], "survey": "sim", "fwhm_pix": 3.0, "made_from": {"difference": {"run_id": "bebc5001-28c2-536a-8eb4-4895debb5917"}}, "scorr_peak": 18.15084888539226, "detection_type": "candidate"}', '2026-11-26 16:01:09.071198+00', '60da94e5-e99a-5854-a978-7ad4ffbc8ace', 19, 19, 'b3786ee70601b043fb5aeaaf5783c01f49047818ff8555fbf0f3a5cdafcdafb7', 'test', 'test-1', 'human');
INSERT INTO public.users VALUES
	('250038d3-4c8e-4c99-9b4d-eb762e9cc4ad', 'expert 0', 'reviewer', true, true, '2026-11-26 16:01:09.071198+00'),
	('59717d8b-2ff5-4b68-bfcc-a117ce84babb', 'reviewer 1', 'reviewer', false, true, '2026-11-26 16:01:09.071198+00'),
	('9bab298e-6577-4cb1-a7a7-58f867f2afce', 'reviewer 2', 'reviewer', false, true, '2026-11-26 16:01:09.071198+00');
INSERT INTO public.validation_events OVERRIDING SYSTEM VALUE VALUES
	('f8b74274-432b-44f6-b8e8-84c7fedc313c', '62c90f40-ed20-51ed-86b9-3fa844319b27', 'real', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140', NULL, 'key 3', '2026-11-26 16:01:09.071198+00', '755', 1, '250038d3-4c8e-4c99-9b4d-eb762e9cc4ad', true, NULL, NULL),
	('dc9e18c0-edc3-4838-beca-d3fe9e6b18e3', '62c90f40-ed20-51ed-86b9-3fa844319b27', 'bogus', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140', NULL, 'key 4', '2026-11-26 16:01:09.071198+00', '755', 2, '59717d8b-2ff5-4b68-bfcc-a117ce84babb', false, NULL, NULL),
	('f9342170-9348-4a09-8b82-621bb26b38d5', 'db3579b5-5e76-524a-9fcd-46de0736bc43', 'real', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4', NULL, 'key 5', '2026-11-26 16:01:09.071198+00', '755', 3, '250038d3-4c8e-4c99-9b4d-eb762e9cc4ad', true, NULL, NULL),
	('a420424b-1efa-4cee-9276-6588a5442fe8', 'db3579b5-5e76-524a-9fcd-46de0736bc43', 'bogus', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4', NULL, 'key 6', '2026-11-26 16:01:09.071198+00', '755', 4, '59717d8b-2ff5-4b68-bfcc-a117ce84babb', false, NULL, NULL),
	('4080a1fb-7b92-43c3-b0eb-a7b9062a1ac4', 'dfb196fe-d244-5ecb-8717-9188f0057d88', 'real', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae', NULL, 'key 7', '2026-11-26 16:01:09.071198+00', '755', 5, '250038d3-4c8e-4c99-9b4d-eb762e9cc4ad', true, NULL, NULL),
	('fcba8b46-f165-4f91-a204-f100aaf84064', 'dfb196fe-d244-5ecb-8717-9188f0057d88', 'bogus', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae', NULL, 'key 8', '2026-11-26 16:01:09.071198+00', '755', 6, '59717d8b-2ff5-4b68-bfcc-a117ce84babb', false, NULL, NULL),
	('eb5814b1-a2be-4157-8d40-3f75067126c3', '51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'real', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d', NULL, 'key 9', '2026-11-26 16:01:09.071198+00', '755', 7, '250038d3-4c8e-4c99-9b4d-eb762e9cc4ad', true, NULL, NULL),
	('0ffdac95-7c1f-43ca-97a9-97c446ee149f', '51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'bogus', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d', NULL, 'key 10', '2026-11-26 16:01:09.071198+00', '755', 8, '59717d8b-2ff5-4b68-bfcc-a117ce84babb', false, NULL, NULL),
	('70c60c40-4698-4a6b-8c75-2eb4febd68ab', 'd2c8c062-0b26-57b4-9954-4bf7c75baae8', 'bogus', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd', NULL, 'key 11', '2026-11-26 16:01:09.071198+00', '755', 9, '9bab298e-6577-4cb1-a7a7-58f867f2afce', false, NULL, NULL),
	('b04b21ee-c4f5-4309-b6fa-42b3be2031fb', 'd2c8c062-0b26-57b4-9954-4bf7c75baae8', 'real', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd', '70c60c40-4698-4a6b-8c75-2eb4febd68ab', 'key 12', '2026-11-26 16:01:09.071198+00', '755', 10, '9bab298e-6577-4cb1-a7a7-58f867f2afce', false, NULL, NULL);
SELECT pg_catalog.setval('public.review_leases_number_seq', 1, false);
SELECT pg_catalog.setval('public.validation_events_number_seq', 10, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT pk_alerts PRIMARY KEY (id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT pk_api_keys PRIMARY KEY (id);
ALTER TABLE ONLY public.candidates
    ADD CONSTRAINT pk_candidates PRIMARY KEY (id);
ALTER TABLE ONLY public.catalogue_answers
    ADD CONSTRAINT pk_catalogue_answers PRIMARY KEY (id);
ALTER TABLE ONLY public.crossmatch_runs
    ADD CONSTRAINT pk_crossmatch_runs PRIMARY KEY (run_id);
ALTER TABLE ONLY public.crossmatches
    ADD CONSTRAINT pk_crossmatches PRIMARY KEY (id);
ALTER TABLE ONLY public.detection_consensus
    ADD CONSTRAINT pk_detection_consensus PRIMARY KEY (detection_id);
ALTER TABLE ONLY public.detections
    ADD CONSTRAINT pk_detections PRIMARY KEY (id);
ALTER TABLE ONLY public.difference_runs
    ADD CONSTRAINT pk_difference_runs PRIMARY KEY (run_id);
ALTER TABLE ONLY public.extraction_runs
    ADD CONSTRAINT pk_extraction_runs PRIMARY KEY (run_id);
ALTER TABLE ONLY public.forced_photometry
    ADD CONSTRAINT pk_forced_photometry PRIMARY KEY (id);
ALTER TABLE ONLY public.forced_runs
    ADD CONSTRAINT pk_forced_runs PRIMARY KEY (run_id);
ALTER TABLE ONLY public.gold_items
    ADD CONSTRAINT pk_gold_items PRIMARY KEY (detection_id);
ALTER TABLE ONLY public.ingest_runs
    ADD CONSTRAINT pk_ingest_runs PRIMARY KEY (run_id);
ALTER TABLE ONLY public.label_snapshots
    ADD CONSTRAINT pk_label_snapshots PRIMARY KEY (id);
ALTER TABLE ONLY public.model_runs
    ADD CONSTRAINT pk_model_runs PRIMARY KEY (run_id);
ALTER TABLE ONLY public.models
    ADD CONSTRAINT pk_models PRIMARY KEY (id);
ALTER TABLE ONLY public.object_detections
    ADD CONSTRAINT pk_object_detections PRIMARY KEY (detection_id);
ALTER TABLE ONLY public.objects
    ADD CONSTRAINT pk_objects PRIMARY KEY (id);
ALTER TABLE ONLY public.observations
    ADD CONSTRAINT pk_observations PRIMARY KEY (id);
ALTER TABLE ONLY public.preprocess_runs
    ADD CONSTRAINT pk_preprocess_runs PRIMARY KEY (run_id);
ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT pk_promotions PRIMARY KEY (id);
ALTER TABLE ONLY public.reference_frames
    ADD CONSTRAINT pk_reference_frames PRIMARY KEY (run_id);
ALTER TABLE ONLY public.reference_members
    ADD CONSTRAINT pk_reference_members PRIMARY KEY (reference_id, preprocess_run_id);
ALTER TABLE ONLY public.review_leases
    ADD CONSTRAINT pk_review_leases PRIMARY KEY (id);
ALTER TABLE ONLY public.review_repeats
    ADD CONSTRAINT pk_review_repeats PRIMARY KEY (id);
ALTER TABLE ONLY public.sign_in_links
    ADD CONSTRAINT pk_sign_in_links PRIMARY KEY (id);
ALTER TABLE ONLY public.sign_in_sessions
    ADD CONSTRAINT pk_sign_in_sessions PRIMARY KEY (id);
ALTER TABLE ONLY public.snapshot_labels
    ADD CONSTRAINT pk_snapshot_labels PRIMARY KEY (snapshot_id, detection_id);
ALTER TABLE ONLY public.survey_depth
    ADD CONSTRAINT pk_survey_depth PRIMARY KEY (id);
ALTER TABLE ONLY public.survey_depth_runs
    ADD CONSTRAINT pk_survey_depth_runs PRIMARY KEY (run_id);
ALTER TABLE ONLY public.surveys
    ADD CONSTRAINT pk_surveys PRIMARY KEY (id);
ALTER TABLE ONLY public.training_data_health
    ADD CONSTRAINT pk_training_data_health PRIMARY KEY (day);
ALTER TABLE ONLY public.training_datasets
    ADD CONSTRAINT pk_training_datasets PRIMARY KEY (id);
ALTER TABLE ONLY public.training_groups
    ADD CONSTRAINT pk_training_groups PRIMARY KEY (kind, key);
ALTER TABLE ONLY public.training_runs
    ADD CONSTRAINT pk_training_runs PRIMARY KEY (id);
ALTER TABLE ONLY public.training_samples
    ADD CONSTRAINT pk_training_samples PRIMARY KEY (id);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT pk_users PRIMARY KEY (id);
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT pk_validation_events PRIMARY KEY (id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT uq_api_keys_secret_sha256 UNIQUE (secret_sha256);
ALTER TABLE ONLY public.models
    ADD CONSTRAINT uq_models_sha256 UNIQUE (sha256);
ALTER TABLE ONLY public.observations
    ADD CONSTRAINT uq_observations_survey_id_archive_id UNIQUE (survey_id, archive_id);
ALTER TABLE ONLY public.sign_in_links
    ADD CONSTRAINT uq_sign_in_links_secret_sha256 UNIQUE (secret_sha256);
ALTER TABLE ONLY public.sign_in_sessions
    ADD CONSTRAINT uq_sign_in_sessions_secret_sha256 UNIQUE (secret_sha256);
ALTER TABLE ONLY public.survey_depth
    ADD CONSTRAINT uq_survey_depth_survey_id_night_filter_band UNIQUE (survey_id, night, filter_band);
ALTER TABLE ONLY public.surveys
    ADD CONSTRAINT uq_surveys_name UNIQUE (name);
ALTER TABLE ONLY public.training_datasets
    ADD CONSTRAINT uq_training_datasets_name_version UNIQUE (name, version);
ALTER TABLE ONLY public.training_samples
    ADD CONSTRAINT uq_training_samples_dataset_id_position UNIQUE (dataset_id, "position");
ALTER TABLE ONLY public.users
    ADD CONSTRAINT uq_users_name UNIQUE (name);
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT uq_validation_events_reviewer_id_idempotency_key UNIQUE (reviewer_id, idempotency_key);
CREATE INDEX ix_alerts_last_seen_at ON public.alerts USING btree (last_seen_at);
CREATE INDEX ix_api_keys_user_id ON public.api_keys USING btree (user_id);
CREATE INDEX ix_candidates_difference_run_id ON public.candidates USING btree (difference_run_id);
CREATE INDEX ix_candidates_healpix ON public.candidates USING btree (healpix);
CREATE INDEX ix_crossmatch_runs_observation_id ON public.crossmatch_runs USING btree (observation_id);
CREATE INDEX ix_crossmatches_crossmatch_run_id ON public.crossmatches USING btree (crossmatch_run_id);
CREATE INDEX ix_crossmatches_detection_id ON public.crossmatches USING btree (detection_id);
CREATE INDEX ix_crossmatches_object_id ON public.crossmatches USING btree (object_id);
CREATE INDEX ix_detection_consensus_latest ON public.detection_consensus USING btree (updated_at, detection_id);
CREATE INDEX ix_detection_consensus_suspect ON public.detection_consensus USING btree (decided_by, disagreement) INCLUDE (detection_id, sole_reviewer_id, n_events) WHERE (decided_by IS NOT NULL);
CREATE INDEX ix_detection_consensus_undecided ON public.detection_consensus USING btree (label, updated_at) INCLUDE (detection_id, sole_reviewer_id, n_events) WHERE (decided_by IS NULL);
CREATE INDEX ix_detections_confidence ON public.detections USING btree (confidence_score, id) WHERE (status = 'active'::text);
CREATE INDEX ix_detections_difference_run_id ON public.detections USING btree (difference_run_id);
CREATE INDEX ix_detections_healpix ON public.detections USING btree (healpix);
CREATE INDEX ix_detections_inherited_from ON public.detections USING btree (inherited_from);
CREATE INDEX ix_detections_model_run_id ON public.detections USING btree (model_run_id);
CREATE INDEX ix_detections_uncertainty ON public.detections USING btree (abs((confidence_score - (0.5)::double precision)), id) WHERE ((status = 'active'::text) AND (NOT is_validated) AND (n_verdicts = 0));
CREATE INDEX ix_detections_untouched ON public.detections USING btree (id) WHERE ((status = 'active'::text) AND (NOT is_validated) AND (n_verdicts = 0));
CREATE INDEX ix_detections_validated ON public.detections USING btree (confidence_score, id) WHERE ((status = 'active'::text) AND is_validated);
CREATE INDEX ix_difference_runs_observation_id ON public.difference_runs USING btree (observation_id);
CREATE INDEX ix_extraction_runs_difference_run_id ON public.extraction_runs USING btree (difference_run_id);
CREATE INDEX ix_forced_photometry_difference_run_id ON public.forced_photometry USING btree (difference_run_id);
CREATE INDEX ix_forced_photometry_object_id ON public.forced_photometry USING btree (object_id);
CREATE INDEX ix_forced_runs_difference_run_id ON public.forced_runs USING btree (difference_run_id);
CREATE INDEX ix_ingest_runs_survey_id_night ON public.ingest_runs USING btree (survey_id, night);
CREATE INDEX ix_label_snapshots_selected_at ON public.label_snapshots USING btree (selected_at);
CREATE INDEX ix_model_runs_difference_run_id ON public.model_runs USING btree (difference_run_id);
CREATE INDEX ix_object_detections_field_id ON public.object_detections USING btree (field_id);
CREATE INDEX ix_object_detections_object_id ON public.object_detections USING btree (object_id);
CREATE INDEX ix_objects_field_id ON public.objects USING btree (field_id);
CREATE INDEX ix_objects_healpix ON public.objects USING btree (healpix);
CREATE INDEX ix_observations_healpix ON public.observations USING btree (healpix);
CREATE INDEX ix_observations_survey_id_night ON public.observations USING btree (survey_id, night);
CREATE INDEX ix_preprocess_runs_observation_id ON public.preprocess_runs USING btree (observation_id);
CREATE INDEX ix_promotions_created_at ON public.promotions USING btree (created_at);
CREATE INDEX ix_reference_frames_survey_id_field_filter_band ON public.reference_frames USING btree (survey_id, field, filter_band);
CREATE INDEX ix_review_leases_reviewer_id_number ON public.review_leases USING btree (reviewer_id, number);
CREATE INDEX ix_review_repeats_detection_id ON public.review_repeats USING btree (detection_id);
CREATE INDEX ix_review_repeats_open ON public.review_repeats USING btree (reviewer_id, due_at) WHERE (answered_by IS NULL);
CREATE INDEX ix_sign_in_links_user_id ON public.sign_in_links USING btree (user_id);
CREATE INDEX ix_sign_in_sessions_user_id ON public.sign_in_sessions USING btree (user_id);
CREATE INDEX ix_snapshot_labels_detection_id ON public.snapshot_labels USING btree (detection_id);
CREATE INDEX ix_survey_depth_runs_difference_run_id ON public.survey_depth_runs USING btree (difference_run_id);
CREATE INDEX ix_training_datasets_created_at ON public.training_datasets USING btree (created_at);
CREATE INDEX ix_training_datasets_digest ON public.training_datasets USING btree (digest);
CREATE INDEX ix_training_runs_dataset_id ON public.training_runs USING btree (dataset_id);
CREATE INDEX ix_training_runs_started_at ON public.training_runs USING btree (started_at);
CREATE INDEX ix_training_samples_detection_id ON public.training_samples USING btree (detection_id);
CREATE INDEX ix_validation_events_detection_id ON public.validation_events USING btree (detection_id);
CREATE INDEX ix_validation_events_reviewer_id_detection_id ON public.validation_events USING btree (reviewer_id, detection_id);
CREATE INDEX ix_validation_events_xact_id ON public.validation_events USING btree (xact, id);
CREATE UNIQUE INDEX uq_alerts_open ON public.alerts USING btree (fingerprint) WHERE (resolved_at IS NULL);
CREATE UNIQUE INDEX uq_review_leases_open ON public.review_leases USING btree (detection_id) WHERE (closed_at IS NULL);
CREATE UNIQUE INDEX uq_validation_events_withdrawn ON public.validation_events USING btree (supersedes) WHERE (verdict = 'withdrawn'::text);
CREATE TRIGGER promotions_never_changed BEFORE DELETE OR UPDATE ON public.promotions FOR EACH ROW EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER promotions_never_emptied BEFORE TRUNCATE ON public.promotions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER snapshot_labels_never_changed BEFORE DELETE OR UPDATE ON public.snapshot_labels FOR EACH ROW EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER snapshot_labels_never_emptied BEFORE TRUNCATE ON public.snapshot_labels FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER training_samples_never_changed BEFORE DELETE OR UPDATE ON public.training_samples FOR EACH ROW EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER training_samples_never_emptied BEFORE TRUNCATE ON public.training_samples FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER validation_events_append_only BEFORE DELETE OR UPDATE ON public.validation_events FOR EACH ROW EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER validation_events_never_emptied BEFORE TRUNCATE ON public.validation_events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT fk_api_keys_user_id FOREIGN KEY (user_id) REFERENCES public.users(id);
ALTER TABLE ONLY public.candidates
    ADD CONSTRAINT fk_candidates_difference_run_id FOREIGN KEY (difference_run_id) REFERENCES public.difference_runs(run_id);
ALTER TABLE ONLY public.crossmatch_runs
    ADD CONSTRAINT fk_crossmatch_runs_answer_id FOREIGN KEY (answer_id) REFERENCES public.catalogue_answers(id);
ALTER TABLE ONLY public.crossmatch_runs
    ADD CONSTRAINT fk_crossmatch_runs_observation_id FOREIGN KEY (observation_id) REFERENCES public.observations(id);
ALTER TABLE ONLY public.crossmatches
    ADD CONSTRAINT fk_crossmatches_crossmatch_run_id FOREIGN KEY (crossmatch_run_id) REFERENCES public.crossmatch_runs(run_id);
ALTER TABLE ONLY public.crossmatches
    ADD CONSTRAINT fk_crossmatches_detection_id FOREIGN KEY (detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.crossmatches
    ADD CONSTRAINT fk_crossmatches_object_id FOREIGN KEY (object_id) REFERENCES public.objects(id);
ALTER TABLE ONLY public.detection_consensus
    ADD CONSTRAINT fk_detection_consensus_detection_id FOREIGN KEY (detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.detection_consensus
    ADD CONSTRAINT fk_detection_consensus_sole_reviewer_id FOREIGN KEY (sole_reviewer_id) REFERENCES public.users(id);
ALTER TABLE ONLY public.detections
    ADD CONSTRAINT fk_detections_candidate_id FOREIGN KEY (candidate_id) REFERENCES public.candidates(id);
ALTER TABLE ONLY public.detections
    ADD CONSTRAINT fk_detections_difference_run_id FOREIGN KEY (difference_run_id) REFERENCES public.difference_runs(run_id);
ALTER TABLE ONLY public.detections
    ADD CONSTRAINT fk_detections_inherited_from FOREIGN KEY (inherited_from) REFERENCES public.detections(id);
ALTER TABLE ONLY public.detections
    ADD CONSTRAINT fk_detections_model_run_id FOREIGN KEY (model_run_id) REFERENCES public.model_runs(run_id);
ALTER TABLE ONLY public.difference_runs
    ADD CONSTRAINT fk_difference_runs_observation_id FOREIGN KEY (observation_id) REFERENCES public.observations(id);
ALTER TABLE ONLY public.difference_runs
    ADD CONSTRAINT fk_difference_runs_preprocess_run_id FOREIGN KEY (preprocess_run_id) REFERENCES public.preprocess_runs(run_id);
ALTER TABLE ONLY public.difference_runs
    ADD CONSTRAINT fk_difference_runs_reference_id FOREIGN KEY (reference_id) REFERENCES public.reference_frames(run_id);
ALTER TABLE ONLY public.extraction_runs
    ADD CONSTRAINT fk_extraction_runs_difference_run_id FOREIGN KEY (difference_run_id) REFERENCES public.difference_runs(run_id);
ALTER TABLE ONLY public.forced_photometry
    ADD CONSTRAINT fk_forced_photometry_difference_run_id FOREIGN KEY (difference_run_id) REFERENCES public.difference_runs(run_id);
ALTER TABLE ONLY public.forced_photometry
    ADD CONSTRAINT fk_forced_photometry_forced_run_id FOREIGN KEY (forced_run_id) REFERENCES public.forced_runs(run_id);
ALTER TABLE ONLY public.forced_photometry
    ADD CONSTRAINT fk_forced_photometry_object_id FOREIGN KEY (object_id) REFERENCES public.objects(id);
ALTER TABLE ONLY public.forced_runs
    ADD CONSTRAINT fk_forced_runs_difference_run_id FOREIGN KEY (difference_run_id) REFERENCES public.difference_runs(run_id);
ALTER TABLE ONLY public.gold_items
    ADD CONSTRAINT fk_gold_items_declared_by FOREIGN KEY (declared_by) REFERENCES public.users(id);
ALTER TABLE ONLY public.gold_items
    ADD CONSTRAINT fk_gold_items_detection_id FOREIGN KEY (detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.ingest_runs
    ADD CONSTRAINT fk_ingest_runs_survey_id FOREIGN KEY (survey_id) REFERENCES public.surveys(id);
ALTER TABLE ONLY public.label_snapshots
    ADD CONSTRAINT fk_label_snapshots_covered_event_id FOREIGN KEY (covered_event_id) REFERENCES public.validation_events(id);
ALTER TABLE ONLY public.model_runs
    ADD CONSTRAINT fk_model_runs_difference_run_id FOREIGN KEY (difference_run_id) REFERENCES public.difference_runs(run_id);
ALTER TABLE ONLY public.model_runs
    ADD CONSTRAINT fk_model_runs_model_id FOREIGN KEY (model_id) REFERENCES public.models(id);
ALTER TABLE ONLY public.object_detections
    ADD CONSTRAINT fk_object_detections_detection_id FOREIGN KEY (detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.object_detections
    ADD CONSTRAINT fk_object_detections_object_id FOREIGN KEY (object_id) REFERENCES public.objects(id);
ALTER TABLE ONLY public.objects
    ADD CONSTRAINT fk_objects_best_detection_id FOREIGN KEY (best_detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.objects
    ADD CONSTRAINT fk_objects_reference_id FOREIGN KEY (reference_id) REFERENCES public.reference_frames(run_id);
ALTER TABLE ONLY public.objects
    ADD CONSTRAINT fk_objects_survey_id FOREIGN KEY (survey_id) REFERENCES public.surveys(id);
ALTER TABLE ONLY public.observations
    ADD CONSTRAINT fk_observations_survey_id FOREIGN KEY (survey_id) REFERENCES public.surveys(id);
ALTER TABLE ONLY public.preprocess_runs
    ADD CONSTRAINT fk_preprocess_runs_observation_id FOREIGN KEY (observation_id) REFERENCES public.observations(id);
ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT fk_promotions_champion_id FOREIGN KEY (champion_id) REFERENCES public.models(id);
ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT fk_promotions_dataset_id FOREIGN KEY (dataset_id) REFERENCES public.training_datasets(id);
ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT fk_promotions_model_id FOREIGN KEY (model_id) REFERENCES public.models(id);
ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT fk_promotions_training_run_id FOREIGN KEY (training_run_id) REFERENCES public.training_runs(id);
ALTER TABLE ONLY public.reference_frames
    ADD CONSTRAINT fk_reference_frames_survey_id FOREIGN KEY (survey_id) REFERENCES public.surveys(id);
ALTER TABLE ONLY public.reference_members
    ADD CONSTRAINT fk_reference_members_preprocess_run_id FOREIGN KEY (preprocess_run_id) REFERENCES public.preprocess_runs(run_id);
ALTER TABLE ONLY public.reference_members
    ADD CONSTRAINT fk_reference_members_reference_id FOREIGN KEY (reference_id) REFERENCES public.reference_frames(run_id);
ALTER TABLE ONLY public.review_leases
    ADD CONSTRAINT fk_review_leases_detection_id FOREIGN KEY (detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.review_leases
    ADD CONSTRAINT fk_review_leases_repeat_id FOREIGN KEY (repeat_id) REFERENCES public.review_repeats(id);
ALTER TABLE ONLY public.review_leases
    ADD CONSTRAINT fk_review_leases_reviewer_id FOREIGN KEY (reviewer_id) REFERENCES public.users(id);
ALTER TABLE ONLY public.review_repeats
    ADD CONSTRAINT fk_review_repeats_answered_by FOREIGN KEY (answered_by) REFERENCES public.validation_events(id);
ALTER TABLE ONLY public.review_repeats
    ADD CONSTRAINT fk_review_repeats_declared_by FOREIGN KEY (declared_by) REFERENCES public.users(id);
ALTER TABLE ONLY public.review_repeats
    ADD CONSTRAINT fk_review_repeats_detection_id FOREIGN KEY (detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.review_repeats
    ADD CONSTRAINT fk_review_repeats_reviewer_id FOREIGN KEY (reviewer_id) REFERENCES public.users(id);
ALTER TABLE ONLY public.sign_in_links
    ADD CONSTRAINT fk_sign_in_links_user_id FOREIGN KEY (user_id) REFERENCES public.users(id);
ALTER TABLE ONLY public.sign_in_sessions
    ADD CONSTRAINT fk_sign_in_sessions_user_id FOREIGN KEY (user_id) REFERENCES public.users(id);
ALTER TABLE ONLY public.snapshot_labels
    ADD CONSTRAINT fk_snapshot_labels_detection_id FOREIGN KEY (detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.snapshot_labels
    ADD CONSTRAINT fk_snapshot_labels_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES public.label_snapshots(id);
ALTER TABLE ONLY public.survey_depth_runs
    ADD CONSTRAINT fk_survey_depth_runs_difference_run_id FOREIGN KEY (difference_run_id) REFERENCES public.difference_runs(run_id);
ALTER TABLE ONLY public.survey_depth_runs
    ADD CONSTRAINT fk_survey_depth_runs_observation_id FOREIGN KEY (observation_id) REFERENCES public.observations(id);
ALTER TABLE ONLY public.survey_depth_runs
    ADD CONSTRAINT fk_survey_depth_runs_reference_id FOREIGN KEY (reference_id) REFERENCES public.reference_frames(run_id);
ALTER TABLE ONLY public.survey_depth
    ADD CONSTRAINT fk_survey_depth_survey_id FOREIGN KEY (survey_id) REFERENCES public.surveys(id);
ALTER TABLE ONLY public.training_datasets
    ADD CONSTRAINT fk_training_datasets_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES public.label_snapshots(id);
ALTER TABLE ONLY public.training_runs
    ADD CONSTRAINT fk_training_runs_dataset_id FOREIGN KEY (dataset_id) REFERENCES public.training_datasets(id);
ALTER TABLE ONLY public.training_runs
    ADD CONSTRAINT fk_training_runs_model_id FOREIGN KEY (model_id) REFERENCES public.models(id);
ALTER TABLE ONLY public.training_runs
    ADD CONSTRAINT fk_training_runs_parent_model_id FOREIGN KEY (parent_model_id) REFERENCES public.models(id);
ALTER TABLE ONLY public.training_samples
    ADD CONSTRAINT fk_training_samples_dataset_id FOREIGN KEY (dataset_id) REFERENCES public.training_datasets(id);
ALTER TABLE ONLY public.training_samples
    ADD CONSTRAINT fk_training_samples_detection_id FOREIGN KEY (detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.training_samples
    ADD CONSTRAINT fk_training_samples_observation_id FOREIGN KEY (observation_id) REFERENCES public.observations(id);
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT fk_validation_events_detection_id FOREIGN KEY (detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT fk_validation_events_model_id FOREIGN KEY (model_id) REFERENCES public.models(id);
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT fk_validation_events_reviewer_id FOREIGN KEY (reviewer_id) REFERENCES public.users(id);
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT fk_validation_events_supersedes FOREIGN KEY (supersedes) REFERENCES public.validation_events(id);

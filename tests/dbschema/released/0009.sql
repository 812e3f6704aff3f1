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
	('0009');
INSERT INTO public.candidates VALUES
	('0971d7d4-b823-5b4d-95e7-a097825840bf', '11d13ad7-cd32-58d7-927b-3f8981366489', 0, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140', 'active', '2026-11-26 16:00:58.207423+00'),
	('7225fd9d-59fd-5d36-9e8d-dc4d8768bbe5', '11d13ad7-cd32-58d7-927b-3f8981366489', 20, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4', 'active', '2026-11-26 16:00:58.207423+00'),
	('a989a311-d5c0-5bba-9868-ad61a37f06cb', '11d13ad7-cd32-58d7-927b-3f8981366489', 40, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae', 'active', '2026-11-26 16:00:58.207423+00'),
	('10e70e60-6b10-5710-92b8-0a7d90ba674c', '11d13ad7-cd32-58d7-927b-3f8981366489', 60, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d', 'active', '2026-11-26 16:00:58.207423+00'),
	('e95acda9-e0f2-5455-b3e0-42f80a29dfd2', '11d13ad7-cd32-58d7-927b-3f8981366489', 80, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '79b4ebecb84d4c6a19bbf4a89f51c9a8bbe9c475bc5b04dbcc5a24b5e1079f88', 'active', '2026-11-26 16:00:58.207423+00'),
	('06b1e0bc-eeca-540e-8c1c-cad5603514e7', '11d13ad7-cd32-58d7-927b-3f8981366489', 100, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd', 'active', '2026-11-26 16:00:58.207423+00'),
	('ad5c58d2-5ea2-5107-8913-1216f18855ee', '11d13ad7-cd32-58d7-927b-3f8981366489', 120, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'fff356ce4f125fdc3c2d819e59abed7a8478bc5180dab757ce2ba95d18e87674', 'active', '2026-11-26 16:00:58.207423+00'),
	('392a871b-2d74-5ae0-bad3-9d67ea53967e', '11d13ad7-cd32-58d7-927b-3f8981366489', 140, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'bc543beda4daca26d29f38e997f34a78cbfcd0fb2ca003881d448975afdf4f08', 'active', '2026-11-26 16:00:58.207423+00'),
	('a226122a-62cd-560b-ac53-93e6471d2143', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 0, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140', 'active', '2026-11-26 16:00:58.207423+00'),
	('b40edc3b-8f2b-5856-911e-fb901b092187', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 20, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4', 'active', '2026-11-26 16:00:58.207423+00'),
	('6c82e0ee-4d27-568b-a2bd-d85499b25221', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 40, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae', 'active', '2026-11-26 16:00:58.207423+00'),
	('0f5260d6-b0b7-50f7-8a3e-36d0cc467a46', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 60, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d', 'active', '2026-11-26 16:00:58.207423+00'),
	('685c0832-8b98-5e23-9562-40e185ed0ce4', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 80, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '79b4ebecb84d4c6a19bbf4a89f51c9a8bbe9c475bc5b04dbcc5a24b5e1079f88', 'active', '2026-11-26 16:00:58.207423+00'),
	('98db9310-8c4a-5f27-930e-291a91dbcce4', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 100, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd', 'active', '2026-11-26 16:00:58.207423+00'),
	('3c07ac14-5891-5150-b79f-61ae777b3fc4', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 120, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'fff356ce4f125fdc3c2d819e59abed7a8478bc5180dab757ce2ba95d18e87674', 'active', '2026-11-26 16:00:58.207423+00'),
	('4671aa3e-570f-5cdc-a826-8edfc0fa4a2d', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 140, 30, NULL, NULL, NULL, 100, 10, 'instrumental', 10, 9.5, 3, 1.1, 0, '[]', false, false, 'cutouts/x.fits', 0, 'bc543beda4daca26d29f38e997f34a78cbfcd0fb2ca003881d448975afdf4f08', 'active', '2026-11-26 16:00:58.207423+00');
INSERT INTO public.detection_consensus VALUES
	('d2c8c062-0b26-57b4-9954-4bf7c75baae8', 'pending', NULL, 1, NULL, '2026-11-26 16:00:58.207423+00', 'bc350c7b-5cee-4797-a3dd-4b7c459c7144', NULL),
	('62c90f40-ed20-51ed-86b9-3fa844319b27', 'real', NULL, 2, 'expert', '2026-11-26 16:00:58.207423+00', NULL, 0.9),
	('db3579b5-5e76-524a-9fcd-46de0736bc43', 'real', NULL, 2, 'expert', '2026-11-26 16:00:58.207423+00', NULL, 0.8),
	('dfb196fe-d244-5ecb-8717-9188f0057d88', 'real', NULL, 2, 'expert', '2026-11-26 16:00:58.207423+00', NULL, 0.7),
	('51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'real', NULL, 2, 'expert', '2026-11-26 16:00:58.207423+00', NULL, 0.6);
INSERT INTO public.detections VALUES
	('14a6ab57-39de-593a-974c-339fd6667eca', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', 'e95acda9-e0f2-5455-b3e0-42f80a29dfd2', 80, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '79b4ebecb84d4c6a19bbf4a89f51c9a8bbe9c475bc5b04dbcc5a24b5e1079f88'),
	('450bbf0e-b1a6-5bcb-b815-22fa40c2b5a9', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', 'ad5c58d2-5ea2-5107-8913-1216f18855ee', 120, 30, NULL, NULL, NULL, 0.7000000000000001, 'candidate', false, false, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'fff356ce4f125fdc3c2d819e59abed7a8478bc5180dab757ce2ba95d18e87674'),
	('aacc68c3-f619-5468-81a5-2da48448c788', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', '392a871b-2d74-5ae0-bad3-9d67ea53967e', 140, 30, NULL, NULL, NULL, 0.8, 'candidate', false, false, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'bc543beda4daca26d29f38e997f34a78cbfcd0fb2ca003881d448975afdf4f08'),
	('62c90f40-ed20-51ed-86b9-3fa844319b27', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', '0971d7d4-b823-5b4d-95e7-a097825840bf', 0, 30, NULL, NULL, NULL, 0.1, 'candidate', false, true, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 2, 'cutouts/x.fits', 0, '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140'),
	('db3579b5-5e76-524a-9fcd-46de0736bc43', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', '7225fd9d-59fd-5d36-9e8d-dc4d8768bbe5', 20, 30, NULL, NULL, NULL, 0.2, 'candidate', false, true, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 2, 'cutouts/x.fits', 0, '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4'),
	('dfb196fe-d244-5ecb-8717-9188f0057d88', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', 'a989a311-d5c0-5bba-9868-ad61a37f06cb', 40, 30, NULL, NULL, NULL, 0.30000000000000004, 'candidate', false, true, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 2, 'cutouts/x.fits', 0, 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae'),
	('51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', '10e70e60-6b10-5710-92b8-0a7d90ba674c', 60, 30, NULL, NULL, NULL, 0.4, 'candidate', false, true, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 2, 'cutouts/x.fits', 0, '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d'),
	('d2c8c062-0b26-57b4-9954-4bf7c75baae8', 'b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', '06b1e0bc-eeca-540e-8c1c-cad5603514e7', 100, 30, NULL, NULL, NULL, 0.6000000000000001, 'candidate', false, false, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 1, 'cutouts/x.fits', 0, '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd'),
	('998617e4-c8af-5c60-b8f4-20bdfd624a8a', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '685c0832-8b98-5e23-9562-40e185ed0ce4', 80, 30, NULL, NULL, NULL, 0.5, 'candidate', false, false, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '79b4ebecb84d4c6a19bbf4a89f51c9a8bbe9c475bc5b04dbcc5a24b5e1079f88'),
	('2f44628b-ecaa-5c86-b31b-edd40ad28243', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '98db9310-8c4a-5f27-930e-291a91dbcce4', 100, 30, NULL, NULL, NULL, 0.6000000000000001, 'candidate', false, false, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd'),
	('ba0fc5c7-24af-5e0e-a887-a33ea2454fbd', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '3c07ac14-5891-5150-b79f-61ae777b3fc4', 120, 30, NULL, NULL, NULL, 0.7000000000000001, 'candidate', false, false, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'fff356ce4f125fdc3c2d819e59abed7a8478bc5180dab757ce2ba95d18e87674'),
	('4e0ae230-d1db-557e-9522-e758cd9fae75', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '4671aa3e-570f-5cdc-a826-8edfc0fa4a2d', 140, 30, NULL, NULL, NULL, 0.8, 'candidate', false, false, NULL, 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'bc543beda4daca26d29f38e997f34a78cbfcd0fb2ca003881d448975afdf4f08'),
	('185879d9-92b6-5cb3-bb12-afb078d00514', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '0f5260d6-b0b7-50f7-8a3e-36d0cc467a46', 60, 30, NULL, NULL, NULL, 0.4, 'candidate', false, true, '51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d'),
	('8a49eb54-0698-5e6a-ae0c-506a433391a6', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 'b40edc3b-8f2b-5856-911e-fb901b092187', 20, 30, NULL, NULL, NULL, 0.2, 'candidate', false, true, 'db3579b5-5e76-524a-9fcd-46de0736bc43', 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4'),
	('95a5bef9-9f2b-507e-86f9-284354ffe80c', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 'a226122a-62cd-560b-ac53-93e6471d2143', 0, 30, NULL, NULL, NULL, 0.1, 'candidate', false, true, '62c90f40-ed20-51ed-86b9-3fa844319b27', 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140'),
	('a41aa9e2-6cf7-55b3-84a0-c83ab6469017', 'a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', '6c82e0ee-4d27-568b-a2bd-d85499b25221', 40, 30, NULL, NULL, NULL, 0.30000000000000004, 'candidate', false, true, 'dfb196fe-d244-5ecb-8717-9188f0057d88', 'active', '2026-11-26 16:00:58.207423+00', NULL, NULL, 0, 'cutouts/x.fits', 0, 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae');
INSERT INTO public.difference_runs VALUES
	('11d13ad7-cd32-58d7-927b-3f8981366489', 'ba3e19ff-9487-5511-89bc-a767e0c46fca', '174b7e7b-588b-5ea0-9cb8-f5098a08e0e9', NULL, '[]', 'completed', 'difference_images/11d13ad7-cd32-58d7-927b-3f8981366489.fits', '0a3fa08ec37ae38962558d277386466a5120e5444b0c6ca85c35e9292c305cf6', NULL, NULL, NULL, NULL, NULL, NULL, 3, NULL, '[]', '1', 'c0ffee', NULL, NULL, NULL, '2026-11-26 16:00:58.207423+00', '2026-11-26 16:00:58.207423+00', NULL, NULL),
	('aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 'ba3e19ff-9487-5511-89bc-a767e0c46fca', '174b7e7b-588b-5ea0-9cb8-f5098a08e0e9', NULL, '[]', 'completed', 'difference_images/aa74453b-32ef-5de5-9fa8-ed7f0c589cfd.fits', '9480c01f417dd6890446306e3582f15110f34c5de8131c1b2eaedb23b68f1700', NULL, NULL, NULL, NULL, NULL, NULL, 3, NULL, '[]', '2', 'c0ffee', NULL, NULL, NULL, '2026-11-26 16:00:58.207423+00', '2026-11-26 16:00:58.207423+00', NULL, NULL);
INSERT INTO public.extraction_runs VALUES
	('e5a682ab-4513-5e71-82ea-832e25a41efa', '11d13ad7-cd32-58d7-927b-3f8981366489', 'completed', 8, NULL, 'cutouts/x.fits', '086d7eef24853b2dfc1831134f895fb17b219bc48f5d83c40b42cefdd9b2c05c', '1', 'c', NULL, NULL, NULL, '2026-11-26 16:00:58.207423+00', '2026-11-26 16:00:58.207423+00', NULL),
	('f2c6ef5c-ea08-5bea-94a5-144e60e2efdd', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 'completed', 8, NULL, 'cutouts/x.fits', '086d7eef24853b2dfc1831134f895fb17b219bc48f5d83c40b42cefdd9b2c05c', '1', 'c', NULL, NULL, NULL, '2026-11-26 16:00:58.207423+00', '2026-11-26 16:00:58.207423+00', NULL);
INSERT INTO public.ingest_runs VALUES
	('8d52a7c0-273d-53ba-ab41-dd45009824d3', 'a4b27085-4fb1-575d-8991-1b2e22a82841', '2026-09-01', '20260901-001.fits', '72ed23eebd1218f6f20f9998e458810ecd502688b8cfa0e54c0b90b466849724', 1, 'completed', '1', 'c', NULL, NULL, NULL, '2026-11-26 16:00:58.207423+00', '2026-11-26 16:00:58.207423+00');
INSERT INTO public.label_snapshots VALUES
	('12138629-72a6-54d6-a812-903eca5a7d86', 'd', '1', 4, 0, 1, '{}', '{}', '{}', '{}', NULL, NULL, '2026-11-26 16:00:58.207423+00', '2026-11-26 16:00:58.207423+00');
INSERT INTO public.model_runs VALUES
	('b2995d69-4db5-5108-8e74-a43d0320bf41', '11d13ad7-cd32-58d7-927b-3f8981366489', 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', 'completed', 'cpu', 8, '1', 'c0ffee', NULL, NULL, NULL, '2026-11-26 16:00:58.207423+00', '2026-11-26 16:00:58.207423+00', NULL, NULL),
	('a9532ae7-973f-519b-bcb0-847dea4eb973', 'aa74453b-32ef-5de5-9fa8-ed7f0c589cfd', 'e688c329-46a3-517c-a40e-7568f1b5397f', 'completed', 'cpu', 8, '2', 'c0ffee', NULL, NULL, NULL, '2026-11-26 16:00:58.207423+00', '2026-11-26 16:00:58.207423+00', NULL, NULL);
INSERT INTO public.models VALUES
	('e688c329-46a3-517c-a40e-7568f1b5397f', 'test', '2', '{"kind": "BasicUNet"}', 'models/2.safetensors', '4d09102a6f9089b72d478c66b1519089cd415cbd165a7b4486f6f95b00c35b41', '{}', NULL, '2026-11-26 16:00:58.207423+00'),
	('aabfd68f-701b-5e60-ba61-6a9ffd2492d7', 'test', '1', '{"kind": "BasicUNet"}', 'models/1.safetensors', '80fa9ee67489c7102f2f9e862e275361c83c05d01a95de4678fa38ce10ed8365', '{}', NULL, '2026-11-26 16:00:58.207423+00');
INSERT INTO public.observations VALUES
	('ba3e19ff-9487-5511-89bc-a767e0c46fca', 'a4b27085-4fb1-575d-8991-1b2e22a82841', '20260901-001', '2026-09-01', 'F1', 'science', 11.5, -20.25, 4000000001, '[[10.0, -20.0], [11.0, -20.0], [11.0, -21.0], [10.0, -21.0]]', '2026-09-01 04:01:00+00', 61284.25, 'r', 30, 1.5, NULL, 60000, 'adu', NULL, 'cam', '1', 512, 512, '["read_noise_e"]', 'raw_frames/sim/2026-09-01/20260901-001.fits', 0, '72ed23eebd1218f6f20f9998e458810ecd502688b8cfa0e54c0b90b466849724', '2026-11-26 16:00:58.207423+00');
INSERT INTO public.preprocess_runs VALUES
	('174b7e7b-588b-5ea0-9cb8-f5098a08e0e9', 'ba3e19ff-9487-5511-89bc-a767e0c46fca', '[]', 'completed', 'processed_frames/174b7e7b-588b-5ea0-9cb8-f5098a08e0e9.fits', '8315f6e81b171c31ef5b47fc00d396f5cc5e452b36ef708084d5ae85dab8b6ee', 2.5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '1', 'c0ffee', NULL, NULL, 1.5, '2026-11-26 16:00:58.207423+00', '2026-11-26 16:00:58.207423+00');
INSERT INTO public.snapshot_labels VALUES
	('12138629-72a6-54d6-a812-903eca5a7d86', 'd2c8c062-0b26-57b4-9954-4bf7c75baae8', 'pending', NULL, 1, NULL),
	('12138629-72a6-54d6-a812-903eca5a7d86', '62c90f40-ed20-51ed-86b9-3fa844319b27', 'real', NULL, 1, 'expert'),
	('12138629-72a6-54d6-a812-903eca5a7d86', 'db3579b5-5e76-524a-9fcd-46de0736bc43', 'real', NULL, 1, 'expert'),
	('12138629-72a6-54d6-a812-903eca5a7d86', 'dfb196fe-d244-5ecb-8717-9188f0057d88', 'real', NULL, 1, 'expert'),
	('12138629-72a6-54d6-a812-903eca5a7d86', '51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'real', NULL, 1, 'expert');
INSERT INTO public.surveys VALUES
	('a4b27085-4fb1-575d-8991-1b2e22a82841', 'sim', 'simulated', '{"name": "sim", "nested": {"a": "α", "b": [1, 2.5, null]}}', '2026-11-26 16:00:58.207423+00');
INSERT INTO public.users VALUES
	('cbf70e4d-b5f7-420f-b536-3de5591e5186', 'expert 0', 'reviewer', true, true, '2026-11-26 16:00:58.207423+00'),
	('b8788295-7aa8-44da-a427-ac4bbefa562a', 'reviewer 1', 'reviewer', false, true, '2026-11-26 16:00:58.207423+00'),
	('bc350c7b-5cee-4797-a3dd-4b7c459c7144', 'reviewer 2', 'reviewer', false, true, '2026-11-26 16:00:58.207423+00');
INSERT INTO public.validation_events OVERRIDING SYSTEM VALUE VALUES
	('4bd3decc-55da-4fef-9a14-37c818bdd060', '62c90f40-ed20-51ed-86b9-3fa844319b27', 'real', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140', NULL, 'key 3', '2026-11-26 16:00:58.207423+00', '755', 1, 'cbf70e4d-b5f7-420f-b536-3de5591e5186', true, NULL, NULL),
	('5e7a4085-cd4f-49ae-842b-0df95aeb0a18', '62c90f40-ed20-51ed-86b9-3fa844319b27', 'bogus', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '5e81ba9ca948e7f3f0f3fc3e6bb323afaa6ee229f0364b709dce1b411e343140', NULL, 'key 4', '2026-11-26 16:00:58.207423+00', '755', 2, 'b8788295-7aa8-44da-a427-ac4bbefa562a', false, NULL, NULL),
	('04d4ae93-2c74-4036-bf37-dd3d1c8470cf', 'db3579b5-5e76-524a-9fcd-46de0736bc43', 'real', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4', NULL, 'key 5', '2026-11-26 16:00:58.207423+00', '755', 3, 'cbf70e4d-b5f7-420f-b536-3de5591e5186', true, NULL, NULL),
	('66889d12-0c04-41f9-aa03-2f77dd15ede8', 'db3579b5-5e76-524a-9fcd-46de0736bc43', 'bogus', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '53b68c99ac7ddac7b491dedbd113f648453fa3858bd6f051be3b19f6cd5031e4', NULL, 'key 6', '2026-11-26 16:00:58.207423+00', '755', 4, 'b8788295-7aa8-44da-a427-ac4bbefa562a', false, NULL, NULL),
	('fd5134bc-dbdd-480c-b7f4-76d77f51c680', 'dfb196fe-d244-5ecb-8717-9188f0057d88', 'real', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae', NULL, 'key 7', '2026-11-26 16:00:58.207423+00', '755', 5, 'cbf70e4d-b5f7-420f-b536-3de5591e5186', true, NULL, NULL),
	('84fd6e26-501d-4d9c-a308-9bec6b94723a', 'dfb196fe-d244-5ecb-8717-9188f0057d88', 'bogus', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', 'aa38d3e47d1395eeb53f168fd6f14daa85ed4cd6a6c31e60e8a2894ed303aaae', NULL, 'key 8', '2026-11-26 16:00:58.207423+00', '755', 6, 'b8788295-7aa8-44da-a427-ac4bbefa562a', false, NULL, NULL),
	('13b050e1-7c2e-4f11-9eb3-286ccceb4729', '51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'real', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d', NULL, 'key 9', '2026-11-26 16:00:58.207423+00', '755', 7, 'cbf70e4d-b5f7-420f-b536-3de5591e5186', true, NULL, NULL),
	('51b91f59-3ee1-48be-81fd-0c40faddd9dd', '51c22921-feb8-59f3-87b7-c59a1c88c0a0', 'bogus', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '11fcbe6d35a05727feb566bda65136eb7401a4460feaaaf020fd48a76151c01d', NULL, 'key 10', '2026-11-26 16:00:58.207423+00', '755', 8, 'b8788295-7aa8-44da-a427-ac4bbefa562a', false, NULL, NULL),
	('4214a8d9-3f97-4092-a314-626ea59dcb20', 'd2c8c062-0b26-57b4-9954-4bf7c75baae8', 'bogus', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd', NULL, 'key 11', '2026-11-26 16:00:58.207423+00', '755', 9, 'bc350c7b-5cee-4797-a3dd-4b7c459c7144', false, NULL, NULL),
	('102b0cd5-d1fa-4e9d-b6ac-9a1d7438d78b', 'd2c8c062-0b26-57b4-9954-4bf7c75baae8', 'real', NULL, '1', NULL, 'aabfd68f-701b-5e60-ba61-6a9ffd2492d7', '8fde821581d2a06b83445e2afb0b3d69621424e5c362cdbcffe6f7ac146fecfd', '4214a8d9-3f97-4092-a314-626ea59dcb20', 'key 12', '2026-11-26 16:00:58.207423+00', '755', 10, 'bc350c7b-5cee-4797-a3dd-4b7c459c7144', false, NULL, NULL);
SELECT pg_catalog.setval('public.review_leases_number_seq', 1, false);
SELECT pg_catalog.setval('public.validation_events_number_seq', 10, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
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
ALTER TABLE ONLY public.users
    ADD CONSTRAINT uq_users_name UNIQUE (name);
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT uq_validation_events_reviewer_id_idempotency_key UNIQUE (reviewer_id, idempotency_key);
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
CREATE INDEX ix_reference_frames_survey_id_field_filter_band ON public.reference_frames USING btree (survey_id, field, filter_band);
CREATE INDEX ix_review_leases_reviewer_id_number ON public.review_leases USING btree (reviewer_id, number);
CREATE INDEX ix_review_repeats_detection_id ON public.review_repeats USING btree (detection_id);
CREATE INDEX ix_review_repeats_open ON public.review_repeats USING btree (reviewer_id, due_at) WHERE (answered_by IS NULL);
CREATE INDEX ix_sign_in_links_user_id ON public.sign_in_links USING btree (user_id);
CREATE INDEX ix_sign_in_sessions_user_id ON public.sign_in_sessions USING btree (user_id);
CREATE INDEX ix_snapshot_labels_detection_id ON public.snapshot_labels USING btree (detection_id);
CREATE INDEX ix_survey_depth_runs_difference_run_id ON public.survey_depth_runs USING btree (difference_run_id);
CREATE INDEX ix_validation_events_detection_id ON public.validation_events USING btree (detection_id);
CREATE INDEX ix_validation_events_reviewer_id_detection_id ON public.validation_events USING btree (reviewer_id, detection_id);
CREATE INDEX ix_validation_events_xact_id ON public.validation_events USING btree (xact, id);
CREATE UNIQUE INDEX uq_review_leases_open ON public.review_leases USING btree (detection_id) WHERE (closed_at IS NULL);
CREATE UNIQUE INDEX uq_validation_events_withdrawn ON public.validation_events USING btree (supersedes) WHERE (verdict = 'withdrawn'::text);
CREATE TRIGGER snapshot_labels_never_changed BEFORE DELETE OR UPDATE ON public.snapshot_labels FOR EACH ROW EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER snapshot_labels_never_emptied BEFORE TRUNCATE ON public.snapshot_labels FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
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
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT fk_validation_events_detection_id FOREIGN KEY (detection_id) REFERENCES public.detections(id);
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT fk_validation_events_model_id FOREIGN KEY (model_id) REFERENCES public.models(id);
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT fk_validation_events_reviewer_id FOREIGN KEY (reviewer_id) REFERENCES public.users(id);
ALTER TABLE ONLY public.validation_events
    ADD CONSTRAINT fk_validation_events_supersedes FOREIGN KEY (supersedes) REFERENCES public.validation_events(id);

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;
CREATE FUNCTION public.lexical_term(lexeme text) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((((hashtextextended(lexeme, (0)::bigint) & (1073741823)::bigint))::integer % 1000000000) + 1);
CREATE FUNCTION public.lexical_weights(searched tsvector) RETURNS public.sparsevec
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    BEGIN ATOMIC
 SELECT ((('{'::text || COALESCE(string_agg(((counted.term || ':'::text) || (counted.often / (counted.often + ((0.9)::double precision * ((0.6)::double precision + (((0.4)::double precision * counted.words) / (75)::double precision)))))), ','::text), ''::text)) || '}/1000000000'::text))::public.sparsevec AS sparsevec
    FROM ( SELECT public.lexical_term(unnest.lexeme) AS term,
             (sum(cardinality(unnest.positions)))::double precision AS often,
             (sum(sum(cardinality(unnest.positions))) OVER ())::double precision AS words
            FROM unnest(lexical_weights.searched) unnest(lexeme, positions, weights)
           GROUP BY (public.lexical_term(unnest.lexeme))) counted;
END;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.chunks (
    id bigint NOT NULL,
    document_id bigint NOT NULL,
    collection_id bigint NOT NULL,
    "position" integer NOT NULL,
    title text NOT NULL,
    heading_path jsonb NOT NULL,
    text text NOT NULL,
    start_offset integer NOT NULL,
    end_offset integer NOT NULL,
    words integer NOT NULL,
    searched tsvector GENERATED ALWAYS AS (((setweight(to_tsvector('english'::regconfig, title), 'A'::"char") || setweight(to_tsvector('english'::regconfig, heading_path), 'B'::"char")) || setweight(to_tsvector('english'::regconfig, text), 'D'::"char"))) STORED NOT NULL,
    weights public.sparsevec(1000000000) GENERATED ALWAYS AS (public.lexical_weights(((setweight(to_tsvector('english'::regconfig, title), 'A'::"char") || setweight(to_tsvector('english'::regconfig, heading_path), 'B'::"char")) || setweight(to_tsvector('english'::regconfig, text), 'D'::"char")))) STORED NOT NULL
);
ALTER TABLE ONLY public.chunks ALTER COLUMN weights SET STORAGE MAIN;
ALTER TABLE public.chunks ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.chunks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.collection_grants (
    id bigint NOT NULL,
    collection_id bigint NOT NULL,
    platform text,
    workspace text,
    channel text,
    CONSTRAINT ck_collection_grants_names_what_is_around CHECK ((((channel IS NULL) OR (workspace IS NOT NULL)) AND ((workspace IS NULL) OR (platform IS NOT NULL))))
);
ALTER TABLE public.collection_grants ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.collection_grants_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.collections (
    id bigint NOT NULL,
    name text NOT NULL,
    chunks bigint DEFAULT '0'::bigint NOT NULL,
    words bigint DEFAULT '0'::bigint NOT NULL,
    last_chunk_id bigint DEFAULT '0'::bigint NOT NULL
);
ALTER TABLE public.collections ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.collections_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.documents (
    id bigint NOT NULL,
    source_id bigint NOT NULL,
    uri text NOT NULL,
    title text NOT NULL,
    content_hash text NOT NULL,
    embedding_model_id integer,
    chunks integer NOT NULL,
    stored_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.documents ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.documents_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.embedding_models (
    id integer NOT NULL,
    name text NOT NULL,
    dimensions integer NOT NULL
);
ALTER TABLE public.embedding_models ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.embedding_models_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.feedback (
    turn_id uuid NOT NULL,
    author text NOT NULL,
    platform text NOT NULL,
    workspace text NOT NULL,
    marks jsonb DEFAULT '[]'::jsonb NOT NULL,
    rating smallint,
    via text,
    comment text,
    at timestamp with time zone,
    withdrawn_at timestamp with time zone,
    traced boolean DEFAULT false NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT ck_feedback_rating CHECK ((rating = ANY (ARRAY[1, '-1'::integer]))),
    CONSTRAINT ck_feedback_via CHECK ((via = ANY (ARRAY['reaction'::text, 'button'::text])))
);
CREATE TABLE public.inbox (
    id bigint NOT NULL,
    platform text NOT NULL,
    workspace text NOT NULL,
    channel text NOT NULL,
    order_key text NOT NULL,
    delivery_id text NOT NULL,
    message_id text,
    kind text NOT NULL,
    event jsonb,
    state text DEFAULT 'queued'::text NOT NULL,
    ended_as text,
    reason text DEFAULT ''::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    fence bigint DEFAULT 0 NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    run_after timestamp with time zone DEFAULT now() NOT NULL,
    lease_until timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT ck_inbox_state CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'parked'::text, 'done'::text])))
);
ALTER TABLE public.inbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.inbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.installation_states (
    platform text NOT NULL,
    state text NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE TABLE public.installations (
    platform text NOT NULL,
    workspace text NOT NULL,
    data jsonb NOT NULL,
    installed_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.message_tombstones (
    platform text NOT NULL,
    workspace text NOT NULL,
    channel text NOT NULL,
    message_id text NOT NULL,
    turn_id uuid NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.outbox (
    id uuid NOT NULL,
    turn_id uuid NOT NULL,
    platform text NOT NULL,
    workspace text NOT NULL,
    channel text NOT NULL,
    channel_private boolean NOT NULL,
    channel_parent text,
    thread_id text NOT NULL,
    purpose text NOT NULL,
    part integer NOT NULL,
    state text NOT NULL,
    body jsonb,
    message_id text,
    planned_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_outbox_purpose CHECK ((purpose = ANY (ARRAY['answer'::text, 'notice'::text]))),
    CONSTRAINT ck_outbox_state CHECK ((state = ANY (ARRAY['planned'::text, 'sending'::text, 'sent'::text, 'ambiguous'::text, 'removed'::text])))
);
CREATE TABLE public.sources (
    id bigint NOT NULL,
    collection_id bigint NOT NULL,
    uri text NOT NULL,
    kind text NOT NULL,
    synced_at timestamp with time zone,
    error text
);
ALTER TABLE public.sources ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.sources_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.term_statistics (
    collection_id bigint NOT NULL,
    lexeme text NOT NULL,
    chunks integer NOT NULL
);
CREATE TABLE public.thread_summaries (
    platform text NOT NULL,
    workspace text NOT NULL,
    channel text NOT NULL,
    thread_id text NOT NULL,
    summary text NOT NULL,
    turns integer NOT NULL,
    through_position bigint NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.turns (
    id uuid NOT NULL,
    "position" bigint NOT NULL,
    platform text NOT NULL,
    workspace text NOT NULL,
    channel text NOT NULL,
    thread_id text NOT NULL,
    question_message_id text NOT NULL,
    author_id text NOT NULL,
    outcome text NOT NULL,
    question text NOT NULL,
    answer text NOT NULL,
    record jsonb NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    answered_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_turns_outcome CHECK ((outcome = ANY (ARRAY['answered'::text, 'abstained'::text, 'failed'::text, 'refused'::text])))
);
ALTER TABLE public.turns ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.turns_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.chunks
    ADD CONSTRAINT pk_chunks PRIMARY KEY (id);
ALTER TABLE ONLY public.collection_grants
    ADD CONSTRAINT pk_collection_grants PRIMARY KEY (id);
ALTER TABLE ONLY public.collections
    ADD CONSTRAINT pk_collections PRIMARY KEY (id);
ALTER TABLE ONLY public.documents
    ADD CONSTRAINT pk_documents PRIMARY KEY (id);
ALTER TABLE ONLY public.embedding_models
    ADD CONSTRAINT pk_embedding_models PRIMARY KEY (id);
ALTER TABLE ONLY public.feedback
    ADD CONSTRAINT pk_feedback PRIMARY KEY (turn_id, author);
ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT pk_inbox PRIMARY KEY (id);
ALTER TABLE ONLY public.installation_states
    ADD CONSTRAINT pk_installation_states PRIMARY KEY (platform, state);
ALTER TABLE ONLY public.installations
    ADD CONSTRAINT pk_installations PRIMARY KEY (platform, workspace);
ALTER TABLE ONLY public.message_tombstones
    ADD CONSTRAINT pk_message_tombstones PRIMARY KEY (platform, workspace, channel, message_id);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT pk_outbox PRIMARY KEY (id);
ALTER TABLE ONLY public.sources
    ADD CONSTRAINT pk_sources PRIMARY KEY (id);
ALTER TABLE ONLY public.term_statistics
    ADD CONSTRAINT pk_term_statistics PRIMARY KEY (collection_id, lexeme);
ALTER TABLE ONLY public.thread_summaries
    ADD CONSTRAINT pk_thread_summaries PRIMARY KEY (platform, workspace, channel, thread_id);
ALTER TABLE ONLY public.turns
    ADD CONSTRAINT pk_turns PRIMARY KEY (id);
ALTER TABLE ONLY public.collection_grants
    ADD CONSTRAINT uq_collection_grants_collection_id_platform_workspace_channel UNIQUE NULLS NOT DISTINCT (collection_id, platform, workspace, channel);
ALTER TABLE ONLY public.collections
    ADD CONSTRAINT uq_collections_name UNIQUE (name);
ALTER TABLE ONLY public.documents
    ADD CONSTRAINT uq_documents_source_id_uri UNIQUE (source_id, uri);
ALTER TABLE ONLY public.embedding_models
    ADD CONSTRAINT uq_embedding_models_name UNIQUE (name);
ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT uq_inbox_platform_delivery_id UNIQUE (platform, delivery_id);
ALTER TABLE ONLY public.message_tombstones
    ADD CONSTRAINT uq_message_tombstones_turn_id UNIQUE (turn_id);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT uq_outbox_turn_id_purpose_part UNIQUE (turn_id, purpose, part);
ALTER TABLE ONLY public.sources
    ADD CONSTRAINT uq_sources_collection_id_uri UNIQUE (collection_id, uri);
ALTER TABLE ONLY public.turns
    ADD CONSTRAINT uq_turns_position UNIQUE ("position");
CREATE INDEX ix_chunks_collection_id ON public.chunks USING btree (collection_id, id);
CREATE INDEX ix_chunks_document_id ON public.chunks USING btree (document_id);
CREATE INDEX ix_chunks_searched ON public.chunks USING gin (searched);
CREATE INDEX ix_feedback_export ON public.feedback USING btree (at, turn_id, author);
CREATE INDEX ix_feedback_untraced ON public.feedback USING btree (changed_at) WHERE ((NOT traced) AND (rating IS NOT NULL));
CREATE INDEX ix_inbox_open_thread ON public.inbox USING btree (platform, workspace, channel, order_key, id) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));
CREATE INDEX ix_inbox_parked ON public.inbox USING btree (id) WHERE (state = 'parked'::text);
CREATE INDEX ix_inbox_queued ON public.inbox USING btree (id) WHERE (state = 'queued'::text);
CREATE INDEX ix_installation_states_expires_at ON public.installation_states USING btree (expires_at);
CREATE INDEX ix_outbox_message ON public.outbox USING btree (platform, workspace, channel, message_id) WHERE (message_id IS NOT NULL);
CREATE INDEX ix_outbox_thread ON public.outbox USING btree (platform, workspace, channel, thread_id);
CREATE INDEX ix_turns_question ON public.turns USING btree (platform, workspace, channel, question_message_id);
CREATE INDEX ix_turns_thread ON public.turns USING btree (platform, workspace, channel, thread_id, "position");
CREATE UNIQUE INDEX uq_inbox_posted_message ON public.inbox USING btree (platform, workspace, channel, message_id) WHERE (kind = 'message_posted'::text);
CREATE UNIQUE INDEX uq_inbox_running_thread ON public.inbox USING btree (platform, workspace, channel, order_key) WHERE (state = 'running'::text);
ALTER TABLE ONLY public.chunks
    ADD CONSTRAINT fk_chunks_document_id_documents FOREIGN KEY (document_id) REFERENCES public.documents(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.collection_grants
    ADD CONSTRAINT fk_collection_grants_collection_id_collections FOREIGN KEY (collection_id) REFERENCES public.collections(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.documents
    ADD CONSTRAINT fk_documents_embedding_model_id_embedding_models FOREIGN KEY (embedding_model_id) REFERENCES public.embedding_models(id);
ALTER TABLE ONLY public.documents
    ADD CONSTRAINT fk_documents_source_id_sources FOREIGN KEY (source_id) REFERENCES public.sources(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sources
    ADD CONSTRAINT fk_sources_collection_id_collections FOREIGN KEY (collection_id) REFERENCES public.collections(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.term_statistics
    ADD CONSTRAINT fk_term_statistics_collection_id_collections FOREIGN KEY (collection_id) REFERENCES public.collections(id) ON DELETE CASCADE;
INSERT INTO public.alembic_version (version_num) VALUES ('0004_lexical_weights');

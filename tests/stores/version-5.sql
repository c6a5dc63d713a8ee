CREATE TABLE checkpoints (
    digest character varying(64) NOT NULL,
    archive_sha256 character varying(64),
    name text NOT NULL COLLATE pg_catalog."C",
    layers integer NOT NULL,
    hidden_size integer NOT NULL,
    heads integer NOT NULL,
    vocabulary integer NOT NULL,
    lower_case integer
);
COMMENT ON COLUMN checkpoints.lower_case IS '1: text is lowercased, as decided when it was first used; NULL: before version 5';
COMMENT ON COLUMN checkpoints.digest IS 'SHA-256 of the content of the files in it';
COMMENT ON COLUMN checkpoints.archive_sha256 IS 'SHA-256 of the zip file, if it came as one';
CREATE TABLE configs (
    hash character varying(64) NOT NULL,
    json text NOT NULL COLLATE pg_catalog."C",
    task text NOT NULL COLLATE pg_catalog."C",
    data character varying(64) NOT NULL,
    checkpoint character varying(64) NOT NULL,
    batch_size integer NOT NULL,
    peak_learning_rate double precision NOT NULL,
    epochs integer NOT NULL,
    steps integer,
    dropout double precision NOT NULL,
    vary text NOT NULL COLLATE pg_catalog."C",
    seed integer NOT NULL,
    dtype text NOT NULL COLLATE pg_catalog."C",
    limit_train integer,
    recipe integer NOT NULL
);
CREATE TABLE evaluations (
    run integer NOT NULL,
    evaluation_set text NOT NULL COLLATE pg_catalog."C",
    row_count integer NOT NULL,
    metric text NOT NULL COLLATE pg_catalog."C",
    score double precision,
    accuracy double precision,
    f1 double precision,
    matthews double precision,
    pearson double precision,
    spearman double precision,
    loss double precision,
    collapsed integer NOT NULL,
    CONSTRAINT collapsed_bool CHECK ((collapsed = ANY (ARRAY[0, 1]))),
    CONSTRAINT rows_scored CHECK ((row_count > 0))
);
COMMENT ON COLUMN evaluations.row_count IS 'rows scored: all there are';
COMMENT ON COLUMN evaluations.metric IS 'which of the columns is the main one';
COMMENT ON COLUMN evaluations.score IS 'value of the main metric';
COMMENT ON COLUMN evaluations.collapsed IS '1: one class (or one value) was predicted for every row';
CREATE TABLE runs (
    id integer NOT NULL,
    config character varying(64) NOT NULL,
    instance integer NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL COLLATE pg_catalog."C",
    owner text COLLATE pg_catalog."C",
    heartbeat integer,
    attempt integer DEFAULT 0 NOT NULL,
    started_at text COLLATE pg_catalog."C",
    finished_at text COLLATE pg_catalog."C",
    training_seconds double precision,
    total_seconds double precision,
    environment character varying(64),
    error text COLLATE pg_catalog."C",
    set_aside text COLLATE pg_catalog."C",
    failures integer DEFAULT 0 NOT NULL,
    digest character varying(64),
    cpu_seconds double precision,
    CONSTRAINT instance_natural CHECK ((instance >= 0)),
    CONSTRAINT running_has_owner CHECK (((status = 'running'::text) = (owner IS NOT NULL))),
    CONSTRAINT status_known CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'done'::text, 'diverged'::text, 'failed'::text])))
);
COMMENT ON COLUMN runs.owner IS 'host, boot, process and its start: who trains it';
COMMENT ON COLUMN runs.heartbeat IS 'seconds since 1970 by the database''s clock';
COMMENT ON COLUMN runs.training_seconds IS 'optimizer steps alone';
COMMENT ON COLUMN runs.total_seconds IS 'with start-up and evaluation';
COMMENT ON COLUMN runs.set_aside IS 'reason why people leave this run out; set by hand';
COMMENT ON COLUMN runs.failures IS 'how often training it raised an error or died';
COMMENT ON COLUMN runs.digest IS '`digest_of` what was recorded; NULL: recorded before version 2';
COMMENT ON COLUMN runs.cpu_seconds IS 'processor time of all its threads; NULL: recorded before version 3';
CREATE VIEW cells AS
 SELECT i.task,
    s.evaluation_set,
    i.checkpoint,
    i.batch_size,
    i.peak_learning_rate,
    i.epochs,
    s.metric,
    s.n,
    s.mean,
        CASE
            WHEN (s.n > 1) THEN sqrt((s.squares / ((s.n - 1))::double precision))
            ELSE NULL::double precision
        END AS sd,
    s.lowest,
    s.highest,
    s.mean_accuracy,
    s.mean_f1,
    s.collapsed,
    s.mean_training_seconds,
    i.limit_train,
    i.dtype,
    s.config,
    i.checkpoint_digest,
    i.data_digest
   FROM (( SELECT a.config,
            a.evaluation_set,
            a.n,
            a.mean,
            a.lowest,
            a.highest,
            a.mean_accuracy,
            a.mean_f1,
            a.collapsed,
            a.mean_training_seconds,
            sum(((e.score - a.mean) * (e.score - a.mean))) AS squares,
            max(e.metric) AS metric
           FROM ((( SELECT r_1.config,
                    e_1.evaluation_set,
                    count(e_1.score) AS n,
                    avg(e_1.score) AS mean,
                    min(e_1.score) AS lowest,
                    max(e_1.score) AS highest,
                    avg(e_1.accuracy) AS mean_accuracy,
                    avg(e_1.f1) AS mean_f1,
                    sum(e_1.collapsed) AS collapsed,
                    avg(r_1.training_seconds) AS mean_training_seconds
                   FROM (runs r_1
                     JOIN evaluations e_1 ON ((e_1.run = r_1.id)))
                  WHERE ((r_1.status = 'done'::text) AND (r_1.set_aside IS NULL))
                  GROUP BY r_1.config, e_1.evaluation_set) a
             JOIN runs r ON ((((r.config)::text = (a.config)::text) AND (r.status = 'done'::text) AND (r.set_aside IS NULL))))
             JOIN evaluations e ON (((e.run = r.id) AND (e.evaluation_set = a.evaluation_set))))
          GROUP BY a.config, a.evaluation_set, a.n, a.mean, a.lowest, a.highest, a.mean_accuracy, a.mean_f1, a.collapsed, a.mean_training_seconds) s
     JOIN ( SELECT c.hash,
            c.task,
            k.name AS checkpoint,
            c.batch_size,
            c.peak_learning_rate,
            c.epochs,
            c.limit_train,
            c.dtype,
            c.checkpoint AS checkpoint_digest,
            c.data AS data_digest
           FROM (configs c
             JOIN checkpoints k ON (((k.digest)::text = (c.checkpoint)::text)))) i ON (((i.hash)::text = (s.config)::text)));
CREATE TABLE measurements (
    run integer NOT NULL,
    split text NOT NULL COLLATE pg_catalog."C",
    metric text NOT NULL COLLATE pg_catalog."C",
    step integer NOT NULL,
    epoch double precision NOT NULL,
    value double precision,
    kind text DEFAULT 'finite'::text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT finite_has_value CHECK (((kind = 'finite'::text) = (value IS NOT NULL))),
    CONSTRAINT kind_known CHECK ((kind = ANY (ARRAY['finite'::text, 'nan'::text, 'inf'::text, '-inf'::text])))
);
COMMENT ON COLUMN measurements.epoch IS 'passes over the training split so far';
CREATE VIEW curves AS
 SELECT c.task,
    k.name AS checkpoint,
    c.batch_size,
    c.peak_learning_rate,
    c.epochs,
    r.instance,
    m.split,
    m.metric,
    m.epoch,
    m.step,
    (m.step * c.batch_size) AS examples,
    m.value,
    m.kind,
    r.id AS run,
    c.hash AS config,
    c.checkpoint AS checkpoint_digest,
    c.limit_train
   FROM (((measurements m
     JOIN runs r ON ((r.id = m.run)))
     JOIN configs c ON (((c.hash)::text = (r.config)::text)))
     JOIN checkpoints k ON (((k.digest)::text = (c.checkpoint)::text)))
  WHERE ((r.status = ANY (ARRAY['done'::text, 'diverged'::text])) AND (r.set_aside IS NULL));
CREATE TABLE datasets (
    digest character varying(64) NOT NULL,
    set_name text NOT NULL COLLATE pg_catalog."C",
    task text NOT NULL COLLATE pg_catalog."C",
    row_count integer NOT NULL,
    official_rows integer NOT NULL,
    majority double precision
);
COMMENT ON COLUMN datasets.digest IS 'SHA-256 of the parsed rows of all its sets';
COMMENT ON COLUMN datasets.set_name IS 'train, dev, dev_matched, ...';
COMMENT ON COLUMN datasets.official_rows IS 'row count of the official file';
COMMENT ON COLUMN datasets.majority IS 'accuracy of always naming this set''s most frequent class; NULL for a regression';
CREATE TABLE environments (
    digest character varying(64) NOT NULL,
    host text NOT NULL COLLATE pg_catalog."C",
    processor text NOT NULL COLLATE pg_catalog."C",
    cores integer NOT NULL,
    threads integer NOT NULL,
    platform text NOT NULL COLLATE pg_catalog."C",
    python text NOT NULL COLLATE pg_catalog."C",
    tensorflow text NOT NULL COLLATE pg_catalog."C",
    tf_models text NOT NULL COLLATE pg_catalog."C",
    numpy text NOT NULL COLLATE pg_catalog."C",
    code text COLLATE pg_catalog."C",
    code_digest character varying(64),
    settings text COLLATE pg_catalog."C",
    gpu text COLLATE pg_catalog."C"
);
COMMENT ON COLUMN environments.threads IS 'threads of one run';
COMMENT ON COLUMN environments.code IS 'revision of this program';
CREATE TABLE labels (
    data character varying(64) NOT NULL,
    set_name text NOT NULL COLLATE pg_catalog."C",
    width integer NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT label_width CHECK ((width > 0))
);
COMMENT ON COLUMN labels.data IS 'digest in `datasets`';
COMMENT ON COLUMN labels.width IS 'characters for each row';
COMMENT ON COLUMN labels.content IS 'the label of every row, in the form of `outputs`';
CREATE TABLE outputs (
    run integer NOT NULL,
    evaluation_set text NOT NULL COLLATE pg_catalog."C",
    width integer NOT NULL,
    content bytea NOT NULL,
    digest character varying(64) NOT NULL,
    CONSTRAINT output_width CHECK ((width > 0))
);
COMMENT ON COLUMN outputs.width IS 'characters for each row';
COMMENT ON COLUMN outputs.content IS 'the predicted class number (or value) of every row as ASCII digits, end to end';
COMMENT ON COLUMN outputs.digest IS '`digest_of_output`';
CREATE VIEW predictions AS
 WITH RECURSIVE numbers(number) AS (
         SELECT 1 AS "?column?"
        UNION ALL
         SELECT (numbers.number + 1)
           FROM numbers
          WHERE (numbers.number < ( SELECT max((length(outputs.content) / outputs.width)) AS max
                   FROM outputs))
        )
 SELECT p.run,
    p.evaluation_set,
    p."row",
    p.predicted,
    p.label,
        CASE
            WHEN (p.is_class = 1) THEN
            CASE
                WHEN (p.predicted = p.label) THEN 1
                ELSE 0
            END
            ELSE NULL::integer
        END AS correct
   FROM ( SELECT o.run,
            o.evaluation_set,
            n.number AS "row",
                CASE
                    WHEN (o.width = 1) THEN 1
                    ELSE 0
                END AS is_class,
            (convert_from(substr(o.content, (((n.number - 1) * o.width) + 1), o.width), 'UTF8'::name))::numeric AS predicted,
            (convert_from(substr(l.content, (((n.number - 1) * l.width) + 1), l.width), 'UTF8'::name))::numeric AS label
           FROM ((((outputs o
             JOIN runs r ON ((r.id = o.run)))
             JOIN configs c ON (((c.hash)::text = (r.config)::text)))
             JOIN numbers n ON ((n.number <= (length(o.content) / o.width))))
             LEFT JOIN labels l ON ((((l.data)::text = (c.data)::text) AND (l.set_name = o.evaluation_set))))
          WHERE ((r.status = 'done'::text) AND (r.set_aside IS NULL))) p;
CREATE VIEW results AS
 SELECT c.task,
    e.evaluation_set,
    k.name AS checkpoint,
    c.batch_size,
    c.peak_learning_rate,
    c.epochs,
    r.instance,
    r.status,
    e.metric,
    e.score,
    e.accuracy,
    e.f1,
    e.matthews,
    e.pearson,
    e.spearman,
    e.loss,
    e.row_count,
    e.collapsed,
    r.training_seconds,
    r.total_seconds,
    r.started_at,
    r.finished_at,
    c.limit_train,
    c.dtype,
    c.dropout,
    c.steps,
    r.id AS run,
    c.hash AS config,
    c.checkpoint AS checkpoint_digest,
    c.data AS data_digest
   FROM (((runs r
     JOIN configs c ON (((c.hash)::text = (r.config)::text)))
     JOIN checkpoints k ON (((k.digest)::text = (c.checkpoint)::text)))
     LEFT JOIN evaluations e ON ((e.run = r.id)))
  WHERE ((r.status = ANY (ARRAY['done'::text, 'diverged'::text])) AND (r.set_aside IS NULL));
CREATE SEQUENCE runs_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE runs_id_seq OWNED BY runs.id;
CREATE TABLE schema_version (
    version integer NOT NULL
);
CREATE SEQUENCE schema_version_version_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE schema_version_version_seq OWNED BY schema_version.version;
CREATE TABLE studies (
    study text NOT NULL COLLATE pg_catalog."C",
    config character varying(64) NOT NULL,
    instances integer NOT NULL
);
COMMENT ON COLUMN studies.instances IS 'how many were asked for';
ALTER TABLE ONLY runs ALTER COLUMN id SET DEFAULT nextval('runs_id_seq'::regclass);
ALTER TABLE ONLY schema_version ALTER COLUMN version SET DEFAULT nextval('schema_version_version_seq'::regclass);
INSERT INTO checkpoints VALUES ('cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'uncased_L-4_H-256_A-4', 4, 256, 4, 30522, 1);
INSERT INTO configs VALUES ('9149f48e15b6be62520b8b024f8e32f3128203def5826f7ccf3b20fafb47a442', '{"batch_size":8,"beta_1":0.9,"beta_2":0.999,"checkpoint":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc","clip_norm":1.0,"data":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","dropout":0.1,"dtype":"float32","end_learning_rate":0.0,"epochs":5,"epsilon":1e-06,"limit_train":null,"max_length":128,"peak_learning_rate":2e-05,"recipe":1,"seed":0,"split_seed":0,"steps":null,"task":"MRPC","validation":0.05,"vary":"head","warmup":0.1,"weight_decay":0.01}', 'MRPC', 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc', 8, 2e-05, 5, NULL, 0.1, 'head', 0, 'float32', NULL, 1);
INSERT INTO configs VALUES ('c3f0d9537319a36f8a1a189aa2a70bc71138f6d1238f23fb9de1031b51838faf', '{"batch_size":16,"beta_1":0.9,"beta_2":0.999,"checkpoint":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc","clip_norm":1.0,"data":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","dropout":0.1,"dtype":"float32","end_learning_rate":0.0,"epochs":5,"epsilon":1e-06,"limit_train":null,"max_length":128,"peak_learning_rate":2e-05,"recipe":1,"seed":0,"split_seed":0,"steps":null,"task":"MRPC","validation":0.05,"vary":"head","warmup":0.1,"weight_decay":0.01}', 'MRPC', 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc', 16, 2e-05, 5, NULL, 0.1, 'head', 0, 'float32', NULL, 1);
INSERT INTO datasets VALUES ('dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'train', 'MRPC', 3668, 3668, 0.6745);
INSERT INTO datasets VALUES ('dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'dev', 'MRPC', 408, 408, 0.6838);
INSERT INTO environments VALUES ('eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 'here', 'Zen 5', 2, 1, 'Linux', '3.11.7', '2.20.0', '2.20.0', '2.0.0', 'abc', NULL, NULL, NULL);
INSERT INTO evaluations VALUES (1, 'dev', 408, 'accuracy', 0.7, 0.7, 0.8, NULL, NULL, NULL, 0.5, 0);
INSERT INTO evaluations VALUES (2, 'dev', 408, 'accuracy', 0.72, 0.72, 0.8, NULL, NULL, NULL, 0.5, 0);
INSERT INTO evaluations VALUES (3, 'dev', 408, 'accuracy', 0.77, 0.77, 0.8, NULL, NULL, NULL, 0.5, 0);
INSERT INTO evaluations VALUES (5, 'dev', 408, 'accuracy', 0.71, 0.71, 0.8, NULL, NULL, NULL, 0.5, 0);
INSERT INTO labels VALUES ('dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'dev', 1, '\x313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031313130313131303131313031');
INSERT INTO measurements VALUES (1, 'validation', 'accuracy', 435, 1, 0.6599999999999999, 'finite');
INSERT INTO measurements VALUES (1, 'validation', 'accuracy', 870, 2, 0.6699999999999999, 'finite');
INSERT INTO measurements VALUES (1, 'validation', 'accuracy', 1305, 3, 0.6799999999999999, 'finite');
INSERT INTO measurements VALUES (1, 'validation', 'accuracy', 1740, 4, 0.69, 'finite');
INSERT INTO measurements VALUES (1, 'validation', 'accuracy', 2175, 5, 0.7, 'finite');
INSERT INTO measurements VALUES (1, 'train', 'loss', 435, 1, 0.6499999999999999, 'finite');
INSERT INTO measurements VALUES (1, 'train', 'loss', 870, 2, 0.6, 'finite');
INSERT INTO measurements VALUES (1, 'train', 'loss', 1305, 3, 0.5499999999999999, 'finite');
INSERT INTO measurements VALUES (1, 'train', 'loss', 1740, 4, 0.49999999999999994, 'finite');
INSERT INTO measurements VALUES (1, 'train', 'loss', 2175, 5, 0.44999999999999996, 'finite');
INSERT INTO measurements VALUES (2, 'validation', 'accuracy', 435, 1, 0.6799999999999999, 'finite');
INSERT INTO measurements VALUES (2, 'validation', 'accuracy', 870, 2, 0.69, 'finite');
INSERT INTO measurements VALUES (2, 'validation', 'accuracy', 1305, 3, 0.7, 'finite');
INSERT INTO measurements VALUES (2, 'validation', 'accuracy', 1740, 4, 0.71, 'finite');
INSERT INTO measurements VALUES (2, 'validation', 'accuracy', 2175, 5, 0.72, 'finite');
INSERT INTO measurements VALUES (2, 'train', 'loss', 435, 1, 0.6499999999999999, 'finite');
INSERT INTO measurements VALUES (2, 'train', 'loss', 870, 2, 0.6, 'finite');
INSERT INTO measurements VALUES (2, 'train', 'loss', 1305, 3, 0.5499999999999999, 'finite');
INSERT INTO measurements VALUES (2, 'train', 'loss', 1740, 4, 0.49999999999999994, 'finite');
INSERT INTO measurements VALUES (2, 'train', 'loss', 2175, 5, 0.44999999999999996, 'finite');
INSERT INTO measurements VALUES (3, 'validation', 'accuracy', 435, 1, 0.73, 'finite');
INSERT INTO measurements VALUES (3, 'validation', 'accuracy', 870, 2, 0.74, 'finite');
INSERT INTO measurements VALUES (3, 'validation', 'accuracy', 1305, 3, 0.75, 'finite');
INSERT INTO measurements VALUES (3, 'validation', 'accuracy', 1740, 4, 0.76, 'finite');
INSERT INTO measurements VALUES (3, 'validation', 'accuracy', 2175, 5, 0.77, 'finite');
INSERT INTO measurements VALUES (3, 'train', 'loss', 435, 1, 0.6499999999999999, 'finite');
INSERT INTO measurements VALUES (3, 'train', 'loss', 870, 2, 0.6, 'finite');
INSERT INTO measurements VALUES (3, 'train', 'loss', 1305, 3, 0.5499999999999999, 'finite');
INSERT INTO measurements VALUES (3, 'train', 'loss', 1740, 4, 0.49999999999999994, 'finite');
INSERT INTO measurements VALUES (3, 'train', 'loss', 2175, 5, 0.44999999999999996, 'finite');
INSERT INTO measurements VALUES (5, 'validation', 'accuracy', 435, 1, 0.6699999999999999, 'finite');
INSERT INTO measurements VALUES (5, 'validation', 'accuracy', 870, 2, 0.6799999999999999, 'finite');
INSERT INTO measurements VALUES (5, 'validation', 'accuracy', 1305, 3, 0.69, 'finite');
INSERT INTO measurements VALUES (5, 'validation', 'accuracy', 1740, 4, 0.7, 'finite');
INSERT INTO measurements VALUES (5, 'validation', 'accuracy', 2175, 5, 0.71, 'finite');
INSERT INTO measurements VALUES (5, 'train', 'loss', 435, 1, 0.6499999999999999, 'finite');
INSERT INTO measurements VALUES (5, 'train', 'loss', 870, 2, 0.6, 'finite');
INSERT INTO measurements VALUES (5, 'train', 'loss', 1305, 3, 0.5499999999999999, 'finite');
INSERT INTO measurements VALUES (5, 'train', 'loss', 1740, 4, 0.49999999999999994, 'finite');
INSERT INTO measurements VALUES (5, 'train', 'loss', 2175, 5, 0.44999999999999996, 'finite');
INSERT INTO measurements VALUES (6, 'train', 'loss', 7, 0.1, NULL, 'nan');
INSERT INTO outputs VALUES (1, 'dev', 1, '\x313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030', '6f60ce82e9976cfd2c57d139325a494a4e5ac20e880e15fe87f5f70d444be69c');
INSERT INTO outputs VALUES (2, 'dev', 1, '\x313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030', '1313a735dd312b29d3909183df6eeedb81baf34109e378482afbebb2b2e329e0');
INSERT INTO outputs VALUES (3, 'dev', 1, '\x313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030', 'e21fdc047f74ac63255a2311a81d489f13a2fe486f02ac524b05ff9bf0d96182');
INSERT INTO outputs VALUES (5, 'dev', 1, '\x313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030313130303131303031313030', '87f3a2f8511e162d97584fa6aede96af05aa4cfe9cf93322ae48530f16a04225');
INSERT INTO runs VALUES (4, '9149f48e15b6be62520b8b024f8e32f3128203def5826f7ccf3b20fafb47a442', 3, 'pending', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL);
INSERT INTO runs VALUES (1, '9149f48e15b6be62520b8b024f8e32f3128203def5826f7ccf3b20fafb47a442', 0, 'done', NULL, 1767225600, 1, '2026-01-01T00:00:00+00:00', '2026-01-01T00:01:00+00:00', 10, 12, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', NULL, NULL, 0, '42f5ab91132503bd56f50cee4a1b25cefe53ccbf7fc914ee1a09b7256be25169', 11);
INSERT INTO runs VALUES (2, '9149f48e15b6be62520b8b024f8e32f3128203def5826f7ccf3b20fafb47a442', 1, 'done', NULL, 1767225600, 1, '2026-01-01T00:00:00+00:00', '2026-01-01T00:01:00+00:00', 10, 12, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', NULL, NULL, 0, 'f7953ab8aeb6120b439f92130870ac87fb60ec38e95e7d54c09c83abc6a471e8', 11);
INSERT INTO runs VALUES (5, 'c3f0d9537319a36f8a1a189aa2a70bc71138f6d1238f23fb9de1031b51838faf', 0, 'done', NULL, 1767225600, 1, '2026-01-01T00:00:00+00:00', '2026-01-01T00:01:00+00:00', 10, 12, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', NULL, NULL, 0, 'ba0eed663ad6744e2951f3df5cdf3dbc7479475d5ec18d6a72c80344a5ae0e8b', 11);
INSERT INTO runs VALUES (6, 'c3f0d9537319a36f8a1a189aa2a70bc71138f6d1238f23fb9de1031b51838faf', 1, 'diverged', NULL, 1767225600, 1, '2026-01-01T00:00:00+00:00', '2026-01-01T00:01:00+00:00', 10, 12, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', NULL, NULL, 0, 'e8c7cc726fcad8813d92e7dbed16cc6a70849672545b92d50d98f427bccaa1b3', NULL);
INSERT INTO runs VALUES (3, '9149f48e15b6be62520b8b024f8e32f3128203def5826f7ccf3b20fafb47a442', 2, 'done', NULL, 1767225600, 1, '2026-01-01T00:00:00+00:00', '2026-01-01T00:01:00+00:00', 10, 12, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', NULL, 'the machine throttled', 0, '75481e03a555e5ffc44af931285fb593cae242577417c9568338fcd3a7bde576', 11);
INSERT INTO runs VALUES (7, 'c3f0d9537319a36f8a1a189aa2a70bc71138f6d1238f23fb9de1031b51838faf', 2, 'failed', NULL, 1767225600, 3, '2026-01-01T00:00:00+00:00', '2026-01-01T00:01:00+00:00', NULL, NULL, NULL, 'out of memory', NULL, 3, NULL, NULL);
INSERT INTO schema_version VALUES (5);
INSERT INTO studies VALUES ('bs_mrpc', '9149f48e15b6be62520b8b024f8e32f3128203def5826f7ccf3b20fafb47a442', 4);
INSERT INTO studies VALUES ('bs_mrpc', 'c3f0d9537319a36f8a1a189aa2a70bc71138f6d1238f23fb9de1031b51838faf', 4);
SELECT pg_catalog.setval('runs_id_seq', 7, true);
SELECT pg_catalog.setval('schema_version_version_seq', 1, false);
ALTER TABLE ONLY checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY configs
    ADD CONSTRAINT configs_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY datasets
    ADD CONSTRAINT datasets_pkey PRIMARY KEY (digest, set_name);
ALTER TABLE ONLY environments
    ADD CONSTRAINT environments_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY evaluations
    ADD CONSTRAINT evaluations_pkey PRIMARY KEY (run, evaluation_set);
ALTER TABLE ONLY labels
    ADD CONSTRAINT labels_pkey PRIMARY KEY (data, set_name);
ALTER TABLE ONLY measurements
    ADD CONSTRAINT measurements_pkey PRIMARY KEY (run, split, metric, step);
ALTER TABLE ONLY outputs
    ADD CONSTRAINT outputs_pkey PRIMARY KEY (run, evaluation_set);
ALTER TABLE ONLY runs
    ADD CONSTRAINT runs_config_instance_key UNIQUE (config, instance);
ALTER TABLE ONLY runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY studies
    ADD CONSTRAINT studies_pkey PRIMARY KEY (study, config);
CREATE INDEX configs_by_task ON configs USING btree (task, batch_size, peak_learning_rate);
CREATE INDEX runs_by_status ON runs USING btree (status);
ALTER TABLE ONLY configs
    ADD CONSTRAINT configs_checkpoint_fkey FOREIGN KEY (checkpoint) REFERENCES checkpoints(digest);
ALTER TABLE ONLY evaluations
    ADD CONSTRAINT evaluations_run_fkey FOREIGN KEY (run) REFERENCES runs(id);
ALTER TABLE ONLY measurements
    ADD CONSTRAINT measurements_run_fkey FOREIGN KEY (run) REFERENCES runs(id);
ALTER TABLE ONLY outputs
    ADD CONSTRAINT outputs_run_fkey FOREIGN KEY (run) REFERENCES runs(id);
ALTER TABLE ONLY runs
    ADD CONSTRAINT runs_config_fkey FOREIGN KEY (config) REFERENCES configs(hash);
ALTER TABLE ONLY runs
    ADD CONSTRAINT runs_environment_fkey FOREIGN KEY (environment) REFERENCES environments(digest);
ALTER TABLE ONLY studies
    ADD CONSTRAINT studies_config_fkey FOREIGN KEY (config) REFERENCES configs(hash);

//! The keys of rotad.yaml.

use super::yaml::key::Value::{Any, Duration, Either, Keys, List, Size, Truth, Whole, Word};
use super::yaml::key::{Group, Key, PATH, USER, Value};

/// All of them.
pub static KEYS: &[Group] =
    &[Group { title: "rotad's own", keys: OWN }, Group { title: "Keys of mysql-crond", keys: CROND }];

/// The names of mysql-crond's.
pub(super) fn crond() -> impl Iterator<Item = &'static str> {
    CROND.iter().map(|key| key.name)
}

/// What a log target is.
pub const TARGET: Value = Word(&[
    ("auto", "The journal where standard error is its stream, as it is under systemd(1), else standard error."),
    (
        "journal",
        "The journal wherever there is one, also when the daemon runs in a terminal; without one standard error.",
    ),
    ("file", "A file for each job, in the directory of log files."),
    ("none", "Nowhere; `rota logs` has the newest lines all the same."),
]);

static OWN: &[Key] = &[
    Key::new("conf_d", PATH, "The directory of job files; see rotad-job(5). Where root runs the daemon, it and every directory above it must be root's alone.")
        .otherwise("`/etc/rotad/conf.d`, or `$XDG_CONFIG_HOME/rotad/conf.d`")
        .example("/etc/rotad/conf.d"),
    Key::new("state_dir", PATH, "What must outlive the daemon.")
        .otherwise("`/var/lib/rotad`, or `$XDG_STATE_HOME/rotad`")
        .example("/var/lib/rotad"),
    Key::new("socket", PATH, "The unix socket of the HTTP endpoint, at most 107 bytes.")
        .otherwise("`/run/rotad/rotad.sock`, or `$XDG_RUNTIME_DIR/rotad/rotad.sock`, or `/tmp/rotad-UID/rotad.sock`")
        .example("/run/rotad/rotad.sock"),
    Key::new(
        "port",
        Whole(0, 65535),
        "The TCP port of the HTTP endpoint on 127.0.0.1, and on no other address; 0 for none. Where somebody else has it \
         the daemon says so, runs jobs all the same, and takes it once it is free.",
    )
    .default("9999")
    .example("0"),
    Key::new("jobs_user", USER, "The user that jobs run as unless they name another.")
        .otherwise("`nobody`, or the user who starts the daemon, who is then the only choice")
        .example("jobs"),
    Key::new("allowed_users", List(&USER, usize::MAX), "Users that jobs may name besides.")
        .default("[]")
        .example("[postgres, mysql]"),
    Key::new(
        "allow_root_jobs",
        Truth,
        "`true` when jobs may run as root. Without it `root` is refused, whatever `jobs_user` and `allowed_users` say.",
    )
    .default("false")
    .example("true"),
    Key::new(
        "engine_user",
        USER,
        "The user of the engine, which reads job files, output and requests. Not root, and better none that jobs run as: \
         they could signal it.",
    )
    .otherwise("`rotad` where there is such a user, else `daemon`")
    .example("rotad"),
    Key::new(
        "admin_group",
        USER,
        "The group whose members may run, stop and change jobs as root may, by the HTTP endpoint and rota(1). The `socket` \
         then belongs to it. On the socket the groups of the process count, on the `port` those that the user database has \
         for its user.",
    )
    .otherwise("none")
    .example("adm"),
    Key::new("api", Keys(API), "Who may use the HTTP endpoint besides.").example("{readers: [anyone]}"),
    Key::new(
        "stop_timeout",
        Duration,
        "How long what runs may take to end when the daemon stops. Then it is killed. At most one day.",
    )
    .default("90s")
    .example("5m"),
    Key::new(
        "log",
        Either(&TARGET, &Keys(LOG)),
        "Where the lines of jobs go, unless they say otherwise: a word, which is the `target`, or a map of these keys.",
    )
    .example("{target: file, keep: 10}"),
    Key::new(
        "history",
        Either(&Word(&[("none", "Nothing is kept.")]), &Keys(HISTORY)),
        "What is kept of the past, in `history.db` in `state_dir`: what became of every slot, every run, and what explains \
         them. `none`, or a map of these keys.",
    )
    .example("{keep: 1w, size: 100MiB}"),
    Key::new("targets", crate::alarm::keys::TARGETS, "Where alarms go: under names of their own, each a map of one of `webhook`, \
        `command`, `mail`, `beat`, `report` and `ping`, with what belongs to it. See ALARMS in rotad(8).")
        .example("{dba: {mail: dba@example.com}}"),
    Key::new("notify", crate::alarm::keys::NOTIFY, "What is told of jobs that do not say it themselves, and where: a list of rules, each a \
        map of these keys; or `none`.")
        .default("none")
        .example("[{on: [failure, recovery], to: {mail: dba@example.com}}]"),
    Key::new("sendmail", PATH, "The program that sends mail: called as `sendmail -i -- ADDRESS`, as `jobs_user`.")
        .default("/usr/sbin/sendmail")
        .example("/usr/bin/msmtp"),
];

static API: &[Group] = &[Group {
    title: "",
    keys: &[Key::new(
        "readers",
        List(&Any, usize::MAX),
        "Who may see jobs, runs and what they print, but change nothing: users, groups written `@group`, or `anyone`. With \
         any reader the `socket` has mode 0666, and the daemon alone decides who comes in.",
    )
    .default("[]")
    .example("[alice, '@dba']")],
}];

static HISTORY: &[Group] = &[Group {
    title: "",
    keys: &[
        Key::new(
            "keep",
            Duration,
            "How long. At least `1h`. The newest 20 runs and slots of each job are kept ten times as long.",
        )
        .default("90d")
        .example("1w"),
        Key::new(
            "rows",
            Whole(1000, 1_000_000_000),
            "Most rows; the oldest go first. A run is one row, its slot another, each further attempt one more.",
        )
        .default("1000000")
        .example("100000"),
        Key::new("size", Size, "Size of the file, roughly; the oldest rows go first. At least `1MiB`.")
            .default("1GiB")
            .example("100MiB"),
        Key::new(
            "tail",
            Size,
            "How much of the end of each attempt's output is kept, `64KiB` at most; 0 for nothing of it.",
        )
        .default("4KiB")
        .example("1KiB"),
    ],
}];

static LOG: &[Group] = &[
    Group {
        title: "",
        keys: &[
            Key::new("target", TARGET, "Where to.").default("auto").example("file"),
            Key::new("dir", PATH, "The directory of log files, and of what the journal did not take (rotad(8), JOURNAL). Nobody but the engine should be able to write to it.")
                .otherwise("`/var/log/rotad`, or `log` in `state_dir`")
                .example("/var/log/rotad"),
            Key::new("max_size", Size, "A log file is rotated once it is larger. At least `4KiB`.")
                .default("100MiB")
                .example("10MiB"),
            Key::new("keep", Whole(0, 1000), "Rotated files that are kept beside the live one, up to 1000.")
                .default("5")
                .example("10"),
            Key::new("debug", Truth, "`true` to tell more of what the daemon does.").default("false").example("true"),
        ],
    },
    Group {
        title: "mysql-crond's",
        keys: &[
            Key::new("log_file_dir", PATH, "mysql-crond's word for `dir`.").example("/var/log/rotad"),
            Key::new("console", Truth, "mysql-crond's. Accepted, without effect.").example("true"),
            Key::new("source", Truth, "mysql-crond's. Accepted, without effect.").example("true"),
            Key::new("json", Truth, "mysql-crond's. Accepted, without effect.").example("false"),
        ],
    },
];

/// Any whole number.
const NUMBER: Value = Whole(i64::MIN, i64::MAX);

static CROND: &[Key] = &[
    Key::new("ip", Any, "Address of this machine, as beats have it. Needed for beats.").example("10.0.0.1"),
    Key::new("bk_cloud_id", NUMBER, "Cloud area of this machine.").default("0").example("0"),
    Key::new("bk_biz_id", NUMBER, "Number of the business, a dimension of every beat. A file of jobs that says it too is \
        believed first, as for the three keys below.")
    .default("0")
    .example("404"),
    Key::new("immute_domain", Any, "A dimension of every beat, where it is given.").example("db.example.com"),
    Key::new("machine_type", Any, "Another.").example("backend"),
    Key::new("role", Any, "Another.").example("master"),
    Key::new(
        "bk_monitor_beat",
        Keys(BEAT),
        "How bk-monitor is told what happens; see rotad(8). Without it no beats are sent. Where a key that is needed is \
         missing, that is told, and the daemon runs on without beats.",
    )
    .example("{beat_path: /usr/local/gse/bkmonitorbeat}"),
    Key::new("pid_path", Any, "Directory of the pid file, `mysql-crond.pid`, by which its scripts find the daemon.")
        .example("/home/mysql/mysql-crond"),
    Key::new(
        "jobs_config",
        Any,
        "The one file of jobs: an absolute path. It is read, watched and changed like the directory of job files. Each item \
         of its `jobs` is a job, with the keys of rotad-job(5), and by itself good or broken: a broken item keeps its last \
         good definition, and while the file is no YAML, or an item has no name that can be read, no job is given up. The \
         file may be missing or empty, and come later. A new permanent job goes there. It belongs to root or `jobs_user`; \
         rotad(8), COMING FROM MYSQL-CROND, has what that means.",
    )
        .example("/home/mysql/mysql-crond/jobs-config.yaml"),
];

static BEAT: &[Group] = &[Group {
    title: "",
    keys: &[
        Key::new(
            "beat_path",
            Any,
            "The program that sends them, bkmonitorbeat: an absolute path. It runs as `jobs_user`, who must be allowed to \
             reach the agent. Needed.",
        )
        .example("/usr/local/gse/bkmonitorbeat"),
        Key::new("agent_address", Any, "The agent's socket: an absolute path. Needed.")
            .example("/usr/local/gse/ipc.state.report"),
        Key::new("custom_event", Keys(CHANNEL), "Where events go; without it none are sent.")
            .example("{bk_data_id: 542898}"),
        Key::new(
            "custom_metrics",
            Keys(CHANNEL),
            "Where metrics go, the heartbeat among them; without it none are sent. `message_kind` is `timeseries` by default.",
        )
        .example("{bk_data_id: 543957}"),
        Key::new("inner_event_name", Any, "Name of the daemon's events.").default("mysql-crond-event").example("ours"),
        Key::new("inner_metrics_name", Any, "Name of the heartbeat.").default("mysql_crond_heart_beat").example("ours"),
    ],
}];

static CHANNEL: &[Group] = &[Group {
    title: "",
    keys: &[
        Key::new("bk_data_id", NUMBER, "Number of the data source, not 0. Needed.").example("542898"),
        Key::new(
            "access_token",
            Any,
            "Its key. rotad shows it nowhere, but bkmonitorbeat takes it as an argument, which every user of the machine can \
             see while it runs. Needed.",
        )
        .example("0123abcd"),
        Key::new("report_type", Any, "How it is reported.").default("agent").example("agent"),
        Key::new("message_kind", Any, "`event` or `timeseries`.").otherwise("`event`").example("event"),
    ],
}];

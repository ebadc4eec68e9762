//! The keys of a job file.

use crate::conf::yaml::key::Value::{
    Any, Duration, Either, Form, Keys, List, Map, Size, Truth, Unlimited, Whole, Word, Written,
};
use crate::conf::yaml::key::{Group, Key, PATH, USER, Value};

/// Most arguments of a command.
pub const MAX_ARGS: usize = 1024;
/// Most exit codes that count as success.
pub const MAX_CODES: usize = 256;
/// What a name is (`JobName`).
const NAME: &str =
    "(?!(.*/)?(\\.\\.?)?(/|$))(?=.{1,128}$)[^\\s\\x00-\\x1f\\x7f]([^\\x00-\\x1f\\x7f]*[^\\s\\x00-\\x1f\\x7f])?";
/// What an exit code is.
const CODE: Value = Whole(0, 255);
/// What a count of things is (`words::count`).
const COUNT: Value = Whole(1, 1 << 30);

/// All of them.
pub static KEYS: &[Group] = &[
    Group { title: "What it is", keys: WHAT_IT_IS },
    Group { title: "What to run", keys: WHAT_TO_RUN },
    Group { title: "When to run it", keys: WHEN },
    Group { title: "How long it may take, and how it ends", keys: HOW_LONG },
    Group { title: "What it may use", keys: WHAT_IT_MAY_USE },
    Group { title: "Where its lines go", keys: LINES },
    Group { title: "Who is told of it", keys: TOLD },
];

static WHAT_IT_IS: &[Key] = &[
    Key::new(
        "name",
        Written("text", NAME, u32::MAX),
        "The name of the job: any text of at most 128 bytes without control characters, not beginning or ending with a blank, \
         and no path: `/` may stand in it, but not beside nothing, `.` or `..`.",
    )
    .otherwise("the name of the file without its suffix, with `%XX` read as the character of that number")
    .example("backup"),
    Key::new("enable", Truth, "`false`: the job is known and shown, and never due.").default("true").example("false"),
    Key::new("creator", Any, "Who made it. Shown, nothing else.").example("dba"),
    Key::new("labels", Map("[^\\x00-\\x1f\\x7f]+"), "Texts under names, for people and filters.")
        .example("{team: operations}"),
];

static WHAT_TO_RUN: &[Key] = &[
    Key::new(
        "command",
        Any,
        "The program: a path, or a name that is looked up in the job's `PATH`. No shell is involved.",
    )
    .example("/usr/local/bin/backup"),
    Key::new("args", List(&Any, MAX_ARGS), "Its arguments, passed on as they are.")
        .default("[]")
        .example("[--full, --to, /srv/backup]"),
    Key::new("script", Any, "Instead of both: a text for `/bin/sh -c`.").example("'df -P / | tail -n 1'"),
    Key::new(
        "user",
        USER,
        "The user that it runs as, by name, with that user's groups. Must be one that rotad.yaml(5) allows. A job that \
         runs as root is doubted (`unsafe-program`) when its `command`, or a directory on the way to it, could be changed \
         by somebody else.",
    )
    .otherwise("`jobs_user` of rotad.yaml(5)")
    .example("postgres"),
    Key::new("work_dir", PATH, "The directory that it runs in, entered as its user.").default("/").example("/srv/backup"),
    Key::new("environment", Map("[A-Za-z_][A-Za-z0-9_]*"), "Variables of its environment.")
        .example("{PGHOST: db1, GREETING: good morning}"),
    Key::new(
        "environment_file",
        Form("file", "(?!(.*/)?\\.\\.(/|$))(/.*|(?!.*\\.ya?ml$).+)"),
        "A file of `KEY=VALUE` lines, read whenever a run starts, under the same rules of ownership as a job file; a \
         relative name is looked up in the directory of job files. `environment` goes over it.",
    )
    .example("backup.env"),
    Key::new("umask", Written("mask", "(0o)?[0-7]{1,4}", 0o777), "The mask for the modes of new files, octal: `027`.")
        .default("'022'")
        .example("027"),
    Key::new("nice", Whole(-20, 19), "Niceness, -20 to 19.").default("0").example("10"),
    Key::new(
        "no_new_privs",
        Truth,
        "`true`: it and what it starts cannot gain rights by set-user-ID programs.",
    )
    .default("false")
    .example("true"),
];

static WHEN: &[Key] = &[
    Key::new("schedule", Any, "When it is due, in the language of `dialect`. Without it the job runs on demand only.")
        .example("'30 2 * * *'"),
    Key::new(
        "dialect",
        Word(&[
            ("robfig", "Go's robfig/cron v3: five fields, or six of which the first is seconds; `@every 90s`."),
            ("cronexpr", "Go's gorhill/cronexpr: five fields, six of which the last is the year, or seven."),
            ("vixie", "The crontab of cronie's cron(8): five fields, and `@reboot`."),
            ("systemd", "`OnCalendar` of systemd.time(7): `Mon..Fri 02:30`."),
            ("gorhill", "Another word for `cronexpr`."),
        ]),
        "The language of the schedule.",
    )
    .default("robfig")
    .example("vixie"),
    Key::new(
        "dst",
        Word(&[
            ("skip", "A time that does not exist has no run; one that comes twice runs the first time."),
            ("once", "A time that does not exist runs when the clock has jumped over it; one that comes twice runs the first time."),
            ("both", "A time that does not exist runs when the clock has jumped over it; one that comes twice runs both times."),
        ]),
        "What to do on days on which clocks change. However many times of the schedule one jump leaves out, one run is made \
         up for them. Without it the dialect's own rule holds, and a note (`dst`) tells beforehand what that will do to a \
         job that is not due in every hour.",
    )
    .otherwise("as the dialect's original does")
    .example("once"),
    Key::new(
        "at",
        Form("time", "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})"),
        "Instead of `schedule`: the one time at which it is due, in `timezone` or with an offset of its own \
         (`2026-12-01T02:30:00+01:00`). A time that does not exist there is due when the clock has jumped over it, one that \
         comes twice the first time. Once it has passed the job runs on demand only.",
    )
    .example("2026-12-01T02:30"),
    Key::new(
        "when_done",
        Word(&[
            ("keep", "The file stays, and the job runs on demand."),
            ("remove", "The file is removed, and the job with it."),
        ]),
        "What becomes of a job with `at` once it has run.",
    )
    .default("keep")
    .example("remove"),
    Key::new("timezone", Form("zone", "[A-Za-z0-9_+/-]+"), "The zone of the schedule, by its name: `Europe/Berlin`.")
        .otherwise("the daemon's")
        .example("Europe/Berlin"),
    Key::new(
        "catch_up",
        Word(&[
            ("none", "They are missed."),
            ("last", "The newest of them runs, the others are missed."),
            ("all", "They run one after the other, oldest first; slots that come due meanwhile join them."),
        ]),
        "What becomes of slots that fell in time that nobody watched: the daemon was down, the machine off or suspended, its \
         clock set forward, the process stopped. A run that makes up for a slot is told the slot's time. A slot that is \
         found at most a minute late runs in any case, unless the daemon was killed.",
    )
    .otherwise("`none`; with `at` it is `last`")
    .example("last"),
    Key::new("catch_up_window", Duration, "No slot is made up for that is older than this when it is found.")
        .default("7d")
        .example("1d"),
    Key::new("catch_up_max", Whole(1, 100), "Of `catch_up: all`, the newest so many; older ones are missed.")
        .default("10")
        .example("24"),
    Key::new(
        "after",
        Map("[^\\x00-\\x1f\\x7f]+"),
        "Other jobs by name, each with the end that counts: `success`, `failure` or `any`. The job starts once each of them \
         has ended so since it started last, beside the slots of its own `schedule`, if it has one. An end counts when no \
         further attempt follows. At most 16.",
    )
    .example("{backup: success}"),
    Key::new(
        "on_overlap",
        Word(&[
            ("skip", "It is skipped."),
            ("queue", "It waits for the run to end. One waits at most: a newer one supersedes it."),
            ("replace", "The run is stopped, and it starts once that is gone. A newer one supersedes it."),
            ("allow", "Both run."),
        ]),
        "What becomes of a slot, or of a request, while a run of the job goes on.",
    )
    .default("skip")
    .example("queue"),
    Key::new(
        "overlap",
        Truth,
        "The same in mysql-crond's words: `true` is `allow` and `false` is `skip`. Not together with `on_overlap`.",
    )
    .example("false"),
];

static HOW_LONG: &[Key] = &[
    Key::new("timeout", Duration, "The longest time that a run may take, up to 366 days.")
        .otherwise("none")
        .example("2h"),
    Key::new(
        "stop_signal",
        Written("signal", "([Ss][Ii][Gg])?[A-Za-z][A-Za-z0-9]*|[1-9]|[12][0-9]|3[01]", 31),
        "The signal that asks a run to end, for a timeout, a stop, a replacement and when the daemon stops; sent to its \
         process group.",
    )
    .default("TERM")
    .example("INT"),
    Key::new(
        "kill_after",
        Duration,
        "The time after that until `SIGKILL` goes to the group and to whatever is left of the run, up to 366 days.",
    )
    .default("10s")
    .example("1m"),
    Key::new(
        "retries",
        Either(&Keys(RETRIES), &Whole(0, 100)),
        "How often a run that failed is attempted again, or a map that says more. A run that was stopped on request, for a \
         newer one or with the daemon is not. While it waits for its next attempt the run does not go on: whatever starts \
         meanwhile takes its place (unless `on_overlap` is `allow`), and so does a pause, a disabled job, a stop.",
    )
    .default("0")
    .example("{max: 3, delay: 1m}"),
    Key::new("success_codes", Either(&List(&CODE, MAX_CODES), &CODE), "Exit codes that count as success.")
        .default("[0]")
        .example("[0, 3]"),
];

static RETRIES: &[Group] = &[Group {
    title: "",
    keys: &[
        Key::new("max", Whole(0, 100), "Attempts after the first.").default("3").example("5"),
        Key::new("delay", Duration, "From the end of the first attempt to the start of the second.")
            .default("10s")
            .example("1m"),
        Key::new(
            "backoff",
            Written("factor", "100|[1-9][0-9]?(\\.[0-9]{1,2})?", 100),
            "Each further delay is so many times the one before, from 1 to 100.",
        )
        .default("2")
        .example("1.5"),
        Key::new("max_delay", Duration, "The longest delay.").default("1h").example("30m"),
        Key::new(
            "on",
            Either(&List(&RETRY_ON, 256), &RETRY_ON),
            "After what: `failure` (an exit code that is no success, or a signal), `timeout`, `could-not-start`, or exit codes.",
        )
        .default("[failure, timeout, could-not-start]")
        .example("[timeout, 75]"),
    ],
}];

/// What a run is attempted again after.
const RETRY_ON: Value = Written("outcome", "failure|timeout|could-not-start|[0-9]{1,3}", 255);

static WHAT_IT_MAY_USE: &[Key] = &[Key::new(
    "limits",
    Keys(LIMITS),
    "Limits, as setrlimit(2) knows them. Those that are not given are as the daemon was started with.",
)
.example("{nofile: 4096, output: 50MiB}")];

static LIMITS: &[Group] = &[Group {
    title: "",
    keys: &[
        Key::new("nofile", Unlimited(&COUNT), "Open files.").default("1024").example("4096"),
        Key::new("core", Unlimited(&Size), "Size of core files.").default("0").example("100MiB"),
        Key::new("nproc", Unlimited(&COUNT), "Processes of the user.").example("200"),
        Key::new("cpu", Unlimited(&Duration), "CPU time of one process, from 1s.").example("10m"),
        Key::new("address_space", Unlimited(&Size), "Address space of one process.").example("4GiB"),
        Key::new("file_size", Unlimited(&Size), "Largest file written.").example("1GiB"),
        Key::new("stack", Unlimited(&Size), "Stack.").example("8MiB"),
        Key::new("memlock", Unlimited(&Size), "Locked memory.").example("64MiB"),
        Key::new(
            "output",
            Size,
            "Output that is kept of one run. What comes after it is read, counted and dropped: the job is never held up.",
        )
        .default("2GiB")
        .example("50MiB"),
    ],
}];

static LINES: &[Key] = &[Key::new(
    "log",
    crate::conf::keys::TARGET,
    "Where the lines of the job go. In the journal each line is an entry that `journalctl -t NAME` finds; rotad(8) lists \
     its fields. A line for the journal may begin with its priority: `<3>` for an error, as in sd-daemon(3); it is taken \
     off. The newest lines are kept for `rota logs` in any case.",
)
.otherwise("what `log` of rotad.yaml(5) says")
.example("file")];

static TOLD: &[Key] = &[Key::new(
    "notify",
    crate::alarm::keys::NOTIFY,
    "Who is told of what happens to it: a list of rules, each a map of these keys, or `none`. See ALARMS in rotad(8).",
)
.otherwise("`notify` of rotad.yaml(5)")
.example("[{on: [failure, recovery], to: ops}, {on: silent, within: 26h, to: pager}]")];

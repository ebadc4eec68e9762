use super::*;

fn text(key: &'static str, value: &str) -> Set {
    Set { key, value: Some(Value::Text(value.to_owned())) }
}

fn texts(key: &'static str, items: &[&str]) -> Set {
    Set { key, value: Some(Value::Texts(items.iter().map(|item| (*item).to_owned()).collect())) }
}

fn gone(key: &'static str) -> Set {
    Set { key, value: None }
}

fn truth(key: &'static str, value: bool) -> Set {
    Set { key, value: Some(Value::Bool(value)) }
}

#[test]
fn values_are_replaced_where_they_stand_and_all_else_stays() {
    for (before, set, after) in [
        ("a: 1 # c\nenable: true   # why\nb: 2\n", truth("enable", false), "a: 1 # c\nenable: false   # why\nb: 2\n"),
        ("enable:    # none\nb: 2\n", truth("enable", false), "enable: false    # none\nb: 2\n"),
        ("schedule: \"* * * * *\"\n", text("schedule", "@daily"), "schedule: \"@daily\"\n"),
        ("schedule: '* * * * *'\n", text("schedule", "@daily"), "schedule: '@daily'\n"),
        ("schedule: 1\n", text("schedule", "*/5 * * * *"), "schedule: '*/5 * * * *'\n"),
        (
            "# x\n\n\"schedule\":\n   'a\n\n   b' # lost\n# y\nb: 1",
            text("schedule", "c"),
            "# x\n\n\"schedule\": 'c'\n# y\nb: 1",
        ),
        ("a: one\n  two\n  three # c\nb: 1\n", text("a", "x"), "a: x # c\nb: 1\n"),
        ("a: |\n  one\n\n  two\n\n# c\nb: 1\n", text("a", "x"), "a: x\n\n# c\nb: 1\n"),
        ("a: >-\n  one\n # c\nb: 1\n", text("a", "x"), "a: x\n # c\nb: 1\n"),
        ("a: b\r\nc: d\r\n", text("c", "x"), "a: b\r\nc: x\r\n"),
        (
            "args:\n  # first\n  - a # 1\n  - b\n\nz: 1\n",
            texts("args", &["x", "y"]),
            "args:\n  # first\n  - \"x\"\n  - \"y\"\n\nz: 1\n",
        ),
        ("args:\n- a\nz: 1\n", texts("args", &["x", "y"]), "args:\n- \"x\"\n- \"y\"\nz: 1\n"),
        ("args: # c\n- a\n- b\nz: 1\n", texts("args", &[]), "args: [] # c\nz: 1\n"),
        ("z: 1\nargs:\n  - a", texts("args", &[]), "z: 1\nargs: []"),
        ("args: [a, # c\n  'b]', {c: d}] # e\nz: 1\n", texts("args", &["x"]), "args: [\"x\"] # e\nz: 1\n"),
        ("args: []\n", texts("args", &["-c", "a\nb"]), "args: [\"-c\", \"a\\nb\"]\n"),
        ("{a: 1, \"b\": 2, c: }\n", text("b", "x, y"), "{a: 1, \"b\": 'x, y', c: }\n"),
        ("{a: 1, c: }\n", text("c", "x"), "{a: 1, c: x }\n"),
        ("{\"a\":1,\"b\":\"x\"}", text("b", "y"), "{\"a\":1,\"b\": \"y\"}"),
        ("--- # doc\na: 1\n...\n", text("a", "b"), "--- # doc\na: b\n...\n"),
        ("\u{feff}a: 1\n", text("a", "b"), "\u{feff}a: b\n"),
        ("a: &x 1\nb: 2\n", text("a", "z"), "a: z\nb: 2\n"),
        ("a: !!str 1\nb: 2\n", text("a", "z"), "a: z\nb: 2\n"),
        ("a: &x\n  b: 1\nc: 2\n", text("a", "z"), "a: z\nc: 2\n"),
    ] {
        assert_eq!(set_keys(before, std::slice::from_ref(&set)).as_deref(), Ok(after), "{before:?} {set:?}");
        assert_eq!(set_keys(after, &[set]).as_deref(), Ok(after), "twice");
    }
}

#[test]
fn keys_come_and_go() {
    for (before, set, after) in [
        ("a: 1\n# end\n", text("b", "x"), "a: 1\nb: x\n# end\n"),
        ("a: 1", text("b", "x"), "a: 1\nb: x"),
        ("a: 1\r\n", text("b", "x"), "a: 1\r\nb: x\r\n"),
        ("  a: 1\n  c:\n    - 1\n", text("b", "x"), "  a: 1\n  c:\n    - 1\n  b: x\n"),
        ("a: |\n  no end", text("b", "x"), "b: x\na: |\n  no end"),
        ("a: |+\n  keep\n\n\n", text("b", "x"), "b: x\na: |+\n  keep\n\n\n"),
        ("{}\n", text("b", "x"), "{b: x}\n"),
        ("{a: 1}", text("b", "x"), "{a: 1, b: x}"),
        ("{a: 1,\n}\n", text("b", "x"), "{a: 1, b: x,\n}\n"),
        ("a: 1\n...\n", text("b", "x"), "a: 1\nb: x\n...\n"),
        ("a: 1\n# c\nb: 2 # d\nc: 3\n", gone("b"), "a: 1\n# c\nc: 3\n"),
        ("a: 1\nb:\n  - x\n  # c\n  - y\n# d\n", gone("b"), "a: 1\n# d\n"),
        ("a: 1\nb: 2", gone("b"), "a: 1"),
        ("a: 1\r\nb: 2", gone("b"), "a: 1"),
        ("{a: 1, b: 2}", gone("b"), "{a: 1}"),
        ("{a: 1, b: 2}", gone("a"), "{b: 2}"),
        ("{a: 1}", gone("a"), "{}"),
        ("a: 1\n", gone("b"), "a: 1\n"),
    ] {
        assert_eq!(set_keys(before, std::slice::from_ref(&set)).as_deref(), Ok(after), "{before:?} {set:?}");
    }
}

#[test]
fn what_cannot_be_changed_safely_is_refused() {
    for (before, set, error) in [
        ("a: &x 1\nb: *x\n", text("a", "y"), EditError::Unclear),
        ("a: 1\na: 2\n", text("a", "y"), EditError::Twice("a".to_owned())),
        ("? a\n: 1\n", text("a", "y"), EditError::Unclear),
        ("- a\n", text("a", "y"), EditError::NotAMap),
        ("# nothing\n", text("a", "y"), EditError::NotAMap),
        ("a: 1\n", text("a", "\0"), EditError::Forbidden),
        ("a: 1\n", gone("a"), EditError::Unclear),
    ] {
        assert_eq!(set_keys(before, std::slice::from_ref(&set)), Err(error), "{before:?} {set:?}");
    }
    assert!(matches!(set_keys("a: [\n", &[text("a", "y")]), Err(EditError::Broken(_))));
    assert!(matches!(set_keys("a: 1\n---\nb: 1\n", &[text("a", "y")]), Err(EditError::Broken(_))));
    assert_eq!(set_keys("a: 1\n", &[text("a", &"x".repeat(70_000))]), Err(EditError::TooLarge(yaml::MAX_FILE)));
}

#[test]
fn texts_are_quoted_so_that_they_read_back_in_every_reader() {
    for (value, quoted) in [
        ("*/5 * * * *", "'*/5 * * * *'"),
        ("@daily", "'@daily'"),
        ("yes", "'yes'"),
        ("Off", "'Off'"),
        ("0777", "'0777'"),
        ("1:30", "'1:30'"),
        ("~", "'~'"),
        ("", "''"),
        (" x", "' x'"),
        ("x ", "'x '"),
        ("a: b", "'a: b'"),
        ("a #b", "'a #b'"),
        ("it's", "'it''s'"),
        ("a\nb", "\"a\\nb\""),
        ("a\u{7}\u{85}\u{2028}\u{feff}", "\"a\\x07\\x85\\u2028\\ufeff\""),
        ("Ünï", "'Ünï'"),
        ("/usr/bin/backup --full", "/usr/bin/backup --full"),
        ("backup", "backup"),
        ("a:", "'a:'"),
        ("http://x", "http://x"),
        ("- a", "'- a'"),
    ] {
        assert_eq!(scalar(value, Quotes::Few), quoted);
        let edited = set_keys("a: 1\n", &[text("a", value)]).unwrap();
        assert_eq!(edited, format!("a: {quoted}\n"));
    }
}

#[test]
fn a_new_file_is_read_back_as_the_keys() {
    let keys = Keys {
        name: crate::job::JobName::parse("mysql-monitor-20000-@every 10s").unwrap(),
        enable: true,
        command: "/bin/sh".to_owned(),
        args: vec!["-c".to_owned(), "echo \"$HOME\" > /dev/null 2>&1".to_owned()],
        schedule: "@every 10s".to_owned(),
        creator: "ops".to_owned(),
        work_dir: String::new(),
        overlap: Some(true),
    };
    let text = new_file(&keys);
    assert_eq!(
        text,
        "name: mysql-monitor-20000-@every 10s\nenable: true\ncommand: /bin/sh\n\
         args: [\"-c\", \"echo \\\"$HOME\\\" > /dev/null 2>&1\"]\nschedule: '@every 10s'\ncreator: ops\noverlap: true\n"
    );
    let zone = jiff::tz::TimeZone::UTC;
    let (job, findings) = crate::job::read_job("x.yaml", text.as_bytes(), &zone, jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(job.name, keys.name);
    assert_eq!(job.program, crate::job::Program::Exec { command: keys.command.clone(), args: keys.args.clone() });
    assert_eq!(set_keys(&text, &sets_of(&keys)).unwrap(), text);
}

mod random {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::super::*;
    use crate::conf::yaml::parse;

    const KEYS: [&str; 7] = ["name", "enable", "command", "args", "schedule", "work_dir", "x-y"];

    /// A piece of a file: the lines of a key, or a comment or blank line that stands by itself.
    #[derive(Debug, Clone)]
    struct Piece {
        key: Option<&'static str>,
        text: String,
    }

    /// A value in every style that people write, with what stands behind it on its line.
    fn written() -> impl Strategy<Value = String> {
        select(vec![
            " 1",
            " true   # why",
            "",
            "   # nothing",
            " ~",
            " '*/5 * * * *'",
            " \"a # b: \\\" c\" # d",
            " 'it''s'",
            " 'over\n\n  lines' # c",
            " \"over \\\n  lines\"",
            " plain text: no\u{20}",
            " http://x/y#z",
            " plain\n  goes on\n    and on  # c",
            "\n  below",
            " # c\n  # d\n  'below' # e",
            " |\n  a\n\n   # no comment\n  b",
            " |2-\n   a\n  b\n\n",
            " >- # c\n  a\n\n",
            " [a, 'b]', \"c\", {d: e}] # f",
            " [\n  a, # c\n  b\n]",
            " []",
            " {}",
            " {a: 1, b: [2]}",
            "\n  - a # c\n\n  # d\n  - 'b'\n  - |\n    c",
            "\n- a\n- b",
            "\n  -\n    - a\n  - b: c\n    d: e",
            "\n  a: 1\n\n  # c\n  b:\n    - 2",
            " !!str 5",
        ])
        .prop_filter("no plain colon", |text| !text.contains("text: no"))
        .prop_map(str::to_owned)
    }

    fn aside() -> impl Strategy<Value = Piece> {
        let text = select(vec!["", "# c", "#", " # deeper: [", "# key: value"]);
        text.prop_map(|text| Piece { key: None, text: text.to_owned() })
    }

    fn file() -> impl Strategy<Value = Vec<Piece>> {
        let keys = subsequence(KEYS.to_vec(), 1..=KEYS.len()).prop_shuffle();
        let entry = |key: &'static str| {
            let quoted = select(vec![key.to_owned(), format!("\"{key}\""), format!("'{key}' ")]);
            (vec(aside(), 0..3), quoted, written()).prop_map(move |(mut pieces, quoted, written)| {
                pieces.push(Piece { key: Some(key), text: format!("{quoted}:{written}") });
                pieces
            })
        };
        let entries = keys.prop_flat_map(move |keys| keys.into_iter().map(entry).collect::<Vec<_>>());
        (entries, vec(aside(), 0..3)).prop_map(|(entries, last)| entries.into_iter().flatten().chain(last).collect())
    }

    fn value() -> impl Strategy<Value = Option<Value>> {
        let text = prop_oneof![
            ".{0,20}",
            "[ -~]{0,20}",
            select(vec![
                "*/5 * * * *",
                "@daily",
                "yes",
                "0777",
                "~",
                "",
                " a ",
                "a\nb\n",
                "\u{7f}\u{85}\u{feff}",
                "- a"
            ])
            .prop_map(str::to_owned),
        ]
        .prop_filter("NUL is refused", |text| !text.contains('\0'))
        .boxed();
        prop_oneof![
            text.clone().prop_map(|text| Some(Value::Text(text))),
            any::<bool>().prop_map(|truth| Some(Value::Bool(truth))),
            vec(text, 0..4).prop_map(|texts| Some(Value::Texts(texts))),
            Just(None),
        ]
    }

    fn sets() -> impl Strategy<Value = Vec<Set>> {
        let keys = subsequence([&KEYS[..], &["new"]].concat(), 1..4).prop_shuffle();
        keys.prop_flat_map(|keys| {
            keys.into_iter().map(|key| value().prop_map(move |value| Set { key, value })).collect::<Vec<_>>()
        })
    }

    /// The plainest thing that is right: keys and what they say, in order.
    fn model(text: &str) -> Vec<(String, String)> {
        let Kind::Map(entries) = parse(text).unwrap().kind else { panic!("{text:?}") };
        entries.into_iter().map(|(key, _, node)| (key, say(&node))).collect()
    }

    fn say(node: &Node) -> String {
        match &node.kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(text) | Kind::Number(text) => text.clone(),
            Kind::Text(text) => format!("{text:?}"),
            Kind::List(items) => format!("[{}]", items.iter().map(say).collect::<Vec<_>>().join(",")),
            Kind::Map(map) => {
                let pairs = map.iter().map(|(key, _, value)| format!("{key:?}:{}", say(value)));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
            }
        }
    }

    fn said(value: &Value) -> String {
        match value {
            Value::Bool(truth) => truth.to_string(),
            Value::Text(text) => format!("{text:?}"),
            Value::Texts(items) => {
                format!("[{}]", items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(","))
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

        #[test]
        fn an_edit_does_what_the_model_does_and_touches_nothing_else(
            pieces in file(), sets in sets(), crlf in any::<bool>(), ended in any::<bool>()
        ) {
            let mut text = pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>().join("\n");
            if ended {
                text.push('\n');
            }
            if crlf {
                text = text.replace('\n', "\r\n");
            }
            prop_assume!(parse(&text).is_ok());
            let mut wanted = model(&text);
            let left = wanted.iter().filter(|(key, _)| !sets.iter().any(|set| set.key == key && set.value.is_none())).count();
            for set in &sets {
                let at = wanted.iter().position(|(key, _)| key == set.key);
                match (at, &set.value) {
                    (Some(at), Some(value)) => wanted[at].1 = said(value),
                    (Some(at), None) => drop(wanted.remove(at)),
                    (None, Some(value)) => wanted.push((set.key.to_owned(), said(value))),
                    (None, None) => {}
                }
            }
            let edited = match set_keys(&text, &sets) {
                Ok(edited) => edited,
                // A file without a key is no job file.
                Err(error) => {
                    prop_assert!(left == 0, "{error}: {text:?}");
                    return Ok(());
                }
            };
            let mut found = model(&edited);
            wanted.sort();
            found.sort();
            prop_assert_eq!(wanted, found, "{:?} became {:?}", text, edited);
            prop_assert_eq!(set_keys(&edited, &sets).unwrap(), edited.clone(), "twice");
            let mut rest = edited.as_str();
            for piece in pieces.iter().filter(|piece| piece.key.is_none_or(|key| !sets.iter().any(|set| set.key == key))) {
                let own = if crlf { piece.text.replace('\n', "\r\n") } else { piece.text.clone() };
                let own = own.trim_end();
                let at = rest.find(own);
                prop_assert!(at.is_some(), "{own:?} is lost: {text:?} became {edited:?}");
                rest = &rest[at.unwrap() + own.len()..];
            }
        }

        #[test]
        fn whatever_the_text_is_an_edit_is_right_or_refused(text in "[a-c:\\-\\[\\]{},&*|>'\"# \n]{0,40}", sets in sets()) {
            if let Ok(edited) = set_keys(&text, &sets) {
                let old = parse(&text).unwrap();
                let new = parse(&edited).unwrap();
                prop_assert!(differs_by(&old, &new, &sets.iter().collect::<Vec<_>>()));
            }
        }
    }
}

//! Which events have an explanation in the journal's catalog (`systemd/rotad.catalog`, shown by `journalctl -x`): from the
//! stable code of an event to its `MESSAGE_ID`. An id, once given, stays.

/// Code and id of every event that is explained.
const EXPLAINED: [(&str, &str); 19] = [
    ("broken-file", "6b94bae27c874577a8f0469303cee613"),
    ("clock", "59494d88b96e494184b504e9a1754dfd"),
    ("could-not-start", "cbefcb7257cb4024b0bbd6d903c8a1df"),
    ("dropped", "ab0b00b9d60d446c9e411927f0171efc"),
    ("endpoint", "827b516c631e4d4e9ba31bb200566310"),
    ("engine-replaced", "79a92d09f9c647a2b88d5f961c5c954e"),
    ("failure", "1fe715356d684c04a066e1a6dd3349f6"),
    ("journal-away", "8144c11e6f6c4359a1ecfa36f9561f4e"),
    ("killed", "cc1ab8c341094df6a86f5cf2d0674943"),
    ("left-behind", "2d3f714c04ca4781ba090a89ebb1c699"),
    ("lost", "a0a5d89512b348fea23af781f633612a"),
    ("missed", "994c47e1a3e74d42b37e75e1ee25e546"),
    ("output-closed", "d121e7aeccf340d6943493d1516b4131"),
    ("output-dropped", "f51f1e38256a4c129c3686c678570a12"),
    ("output-limit", "7ca79ebd54ae41ea8cc2c995a4a507e1"),
    ("skipped", "53215f906ef243a382cd01baa51c71c4"),
    ("state", "7b68db5fec11476db6370ab90aa95711"),
    ("timed-out", "6946dd1ea1064a5f8be8588e872b54b2"),
    ("will-not-die", "01886965a4ad4c3a907b8749b2922e93"),
];

/// The id of what happened; `None` for what explains itself.
pub fn message_id(code: &str) -> Option<&'static str> {
    EXPLAINED.iter().find(|(known, _)| *known == code).map(|(_, id)| *id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const CATALOG: &str = include_str!("../../systemd/rotad.catalog");

    #[test]
    fn table_and_catalog_explain_the_same() {
        let table: BTreeSet<&str> = EXPLAINED.iter().map(|(_, id)| *id).collect();
        assert_eq!(table.len(), EXPLAINED.len(), "an id stands for one thing");
        assert!(EXPLAINED.is_sorted(), "by code, each once");
        let headings = CATALOG.lines().filter_map(|line| line.strip_prefix("-- "));
        let catalog: Vec<&str> = headings.map(|id| id.trim()).collect();
        assert_eq!(catalog.iter().copied().collect::<BTreeSet<_>>(), table);
        assert_eq!(catalog.len(), table.len(), "each is explained once");
        let id = |id: &&str| id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(table.iter().all(id));
    }

    #[test]
    fn the_page_names_every_code_that_is_explained() {
        let page = include_str!("../../man/rotad.8");
        let list =
            page.split("adds an explanation; so it is with").nth(1).and_then(|rest| rest.split("will-not-die").next());
        let list = list.expect("the list in the page");
        for (code, _) in EXPLAINED.iter().filter(|(code, _)| !["broken-file", "will-not-die"].contains(code)) {
            assert!(list.contains(&format!(".Ql {code}")), "{code} is not in rotad(8)");
        }
    }

    #[test]
    fn every_explanation_is_whole() {
        for entry in CATALOG.split("\n-- ").skip(1) {
            let (head, text) = entry.split_once("\n\n").expect("a blank line before the text");
            for field in ["Subject: ", "Defined-By: rotad", "Support: ", "Documentation: "] {
                assert!(head.lines().any(|line| line.starts_with(field)), "{field} in {head}");
            }
            assert!(text.trim().lines().count() > 1, "{head}");
            let known = ["@MESSAGE@", "@ROTA_JOB@", "@ROTA_RUN_ID@"];
            for word in entry.split(|c: char| !(c.is_ascii_uppercase() || c == '_' || c == '@')) {
                assert!(!word.starts_with('@') || known.contains(&word), "{word} in {head}");
            }
        }
    }
}

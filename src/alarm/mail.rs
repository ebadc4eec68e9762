//! An alarm as a mail, and the errand that hands it to sendmail. No text of a job's reaches a header but the subject, and that
//! as one line or encoded (I118).

use std::fmt::Write;
use std::path::Path;

use super::text;

/// Most bytes of text in an encoded word (RFC 2047, 2: 75 characters with its frame).
const WORD: usize = 45;
/// Longest line of the body, in bytes: RFC 5322, 2.1.1 has 998.
const LINE: usize = 900;
/// Longest subject, in characters.
const SUBJECT: usize = 200;

/// The variable that holds the mail.
pub const MESSAGE: &str = "ROTA_MESSAGE";

/// Passes the variable on as standard input; `$0` is the program. It does not get the variable itself.
const SCRIPT: &str = r#"printf %s "$ROTA_MESSAGE" | { unset ROTA_MESSAGE; exec "$0" -i -- "$@"; }"#;

/// The mail.
pub fn mail(to: &[String], subject: &str, body: &str) -> String {
    let mut mail = format!("To: {}\nSubject: {}\n", to.join(",\n "), header(subject));
    mail.push_str("Auto-Submitted: auto-generated\nPrecedence: bulk\nMIME-Version: 1.0\n");
    mail.push_str("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n");
    for line in body.lines() {
        let mut rest = line;
        while rest.len() > LINE {
            let (first, after) = rest.split_at(text::floor(rest, LINE));
            let _ = writeln!(mail, "{first}");
            rest = after;
        }
        let _ = writeln!(mail, "{rest}");
    }
    mail
}

/// Program and arguments that send it.
pub fn argv(sendmail: &Path, to: &[String]) -> Vec<String> {
    let words = ["/bin/sh", "-c", SCRIPT].into_iter().map(str::to_owned);
    words.chain([sendmail.display().to_string()]).chain(to.iter().cloned()).collect()
}

/// The text of a header: itself where it is plain, else in encoded words.
fn header(text: &str) -> String {
    let line = text::one_line(text, SUBJECT);
    let line = line.trim();
    let plain = line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !line.contains("=?");
    // A line of a header is better short.
    if plain && line.len() <= 200 {
        return line.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(text::floor(rest, WORD));
        words.push(format!("=?UTF-8?B?{}?=", base64(word.as_bytes())));
        rest = after;
    }
    words.join("\n ")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            let sign = DIGITS.get(value as usize).copied().unwrap_or(b'=');
            text.push(if digit <= chunk.len() { char::from(sign) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i118_headers_are_what_they_are_whatever_a_job_is_called() {
        let to = ["dba@example.com".to_owned()];
        for hostile in [
            "a\r\nBcc: evil@x",
            "a\nSubject: b\n\nbody",
            "a\r.\r\n",
            "é\r\nBcc: x",
            "=?UTF-8?B?Cg==?=",
            "\u{85}x",
            "\u{2028}x",
        ] {
            let mail = mail(&to, hostile, "text\n.\nmore\r\nFrom x\n");
            let (head, body) = mail.split_once("\n\n").unwrap();
            let names: Vec<&str> =
                head.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(": ").next()).collect();
            assert_eq!(
                names,
                [
                    "To",
                    "Subject",
                    "Auto-Submitted",
                    "Precedence",
                    "MIME-Version",
                    "Content-Type",
                    "Content-Transfer-Encoding"
                ],
                "{mail}"
            );
            assert!(head.is_ascii() && !mail.contains('\r'), "{mail}");
            assert!(body.starts_with("text\n.\nmore\nFrom x\n"));
        }
    }

    #[test]
    fn subjects_are_encoded_in_whole_characters() {
        assert_eq!(header("[db1] a failed"), "[db1] a failed");
        let encoded = header(&"äöü ".repeat(20));
        for word in encoded.split("\n ") {
            assert!(word.len() <= 75 && word.starts_with("=?UTF-8?B?") && word.ends_with("?="), "{word}");
        }
        let digits: Vec<&str> = encoded.split("\n ").map(|word| &word[10..word.len() - 2]).collect();
        let read = std::process::Command::new("base64")
            .arg("-d")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let mut read = read.unwrap();
        use std::io::Write as _;
        read.stdin.take().unwrap().write_all(digits[0].as_bytes()).unwrap();
        let first = String::from_utf8(read.wait_with_output().unwrap().stdout).unwrap();
        assert!("äöü ".repeat(20).starts_with(&first) && first.len() > 30, "{first}");
        for (text, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn long_lines_are_broken() {
        let mail = mail(&["a".into()], "s", &"é".repeat(5000));
        assert!(mail.lines().all(|line| line.len() <= 998));
        assert_eq!(mail.matches('é').count(), 5000);
    }
}

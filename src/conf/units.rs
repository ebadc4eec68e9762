//! Durations and sizes as people write them: `90s`, `1h30m`, `2d`; `100MiB`, `10MB`, `1G`.

use std::time::Duration;

/// Longest duration anywhere: ten years, so that no sum of two overflows.
const MAX_DURATION: u64 = 10 * 366 * 86_400;

/// What [`duration`] reads, as a regular expression.
pub const DURATION: &str = r"\s*([0-9]+|([0-9]+(ms|s|sec|m|min|h|d|w)\s*)+)\s*";
/// What [`size`] reads, as a regular expression.
pub const SIZE: &str = r"\s*[0-9]+\s*([Bb]|[KkMmGgTt]([Ii]?[Bb])?)?\s*";

/// A duration: whole numbers with `ms`, `s`, `m` (`min`), `h`, `d`, `w`, largest first or not; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is written like 90s, 5m or 1h30m; a bare number means seconds".to_owned();
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    let bare = rest.bytes().all(|byte| byte.is_ascii_digit());
    while !rest.is_empty() {
        let (number, after) = split(rest).ok_or_else(wrong)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let milliseconds = match unit {
            "ms" => 1,
            "s" | "sec" => 1000,
            "" if bare => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return Err(wrong()),
        };
        let part = number.checked_mul(milliseconds).map(Duration::from_millis);
        sum = part
            .and_then(|part| sum.checked_add(part))
            .filter(|sum| sum.as_secs() <= MAX_DURATION)
            .ok_or_else(|| "a duration is at most ten years".to_owned())?;
        rest = after.trim_start();
    }
    Ok(sum)
}

/// A size in bytes: `K M G T` and `KiB MiB GiB TiB` count by 1024, `kB MB GB TB` by 1000; a bare number is bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || "a size is written like 100MiB, 10MB or 1G; a bare number means bytes".to_owned();
    let (number, unit) = split(text.trim()).ok_or_else(wrong)?;
    let (thousand, unit) = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => return Ok(number),
        unit => match (unit.strip_suffix("ib"), unit.strip_suffix('b')) {
            (Some(power), _) => (1024u64, power.to_owned()),
            (None, Some(power)) => (1000, power.to_owned()),
            (None, None) => (1024, unit.to_owned()),
        },
    };
    let power = match unit.as_str() {
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(wrong()),
    };
    thousand.pow(power).checked_mul(number).filter(|size| *size <= 1 << 60).ok_or_else(|| "far too large".to_owned())
}

/// A whole number and what follows it.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("90s", 90_000),
            ("90", 90_000),
            ("1h30m", 5_400_000),
            ("1h 30min", 5_400_000),
            ("2d", 172_800_000),
            ("250ms", 250),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5h", "1h30", "1_000", "99999999999999999999", "11w 4000d", "5x", "1e3", "٣s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("100MiB", 100 << 20), ("10MB", 10_000_000), ("1G", 1 << 30), ("17", 17), ("4 KiB", 4096), ("2k", 2048)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5G", "1X", "99999999999T", "1iib", "1mibib"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}

//! The form of the data files: records of a keyword, words and a note.
//!
//! ```text
//! # a comment
//! refused ENOSYS vmsplice copy_file_range | why, in words
//!   that may go on, as the list may
//! ```
//! A record begins at the margin. Reading cannot fail: what a keyword does not know is passed over where it is used, and tests
//! hold that nothing is.

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The first word.
    pub(crate) keyword: &'static str,
    /// The others, up to the note.
    pub(crate) words: Vec<&'static str>,
    /// What follows the bar; empty where there is none.
    pub(crate) note: String,
}

/// The records of a file, in their order.
pub(crate) fn records(text: &'static str) -> Vec<Record> {
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if !line.starts_with([' ', '\n']) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(&start, end)| text.get(start..end))
        .filter(|block| !block.starts_with('#'))
        .filter_map(record)
        .collect()
}

fn record(block: &'static str) -> Option<Record> {
    let (list, note) = block.split_once('|').unwrap_or((block, ""));
    let mut words = list.split_ascii_whitespace();
    Some(Record {
        keyword: words.next()?,
        words: words.collect(),
        note: note.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
    })
}

/// Whether a text has the form of a pattern, in which `*` stands for anything.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(head) else {
        return false;
    };
    let mut pieces = tail.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_goes_on_where_lines_are_indented() {
        let read = records("# no record\nfull a b\n  c | why\n  so\n\nall\n# end\n");
        let expected = [("full", vec!["a", "b", "c"], "why so"), ("all", vec![], "")];
        let found: Vec<_> = read
            .iter()
            .map(|record| (record.keyword, record.words.clone(), record.note.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*", "", true),
            ("*b", "ab", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            (
                "AF_NETLINK:*:NETLINK_ROUTE",
                "AF_NETLINK:SOCK_RAW:NETLINK_ROUTE",
                true,
            ),
            (
                "AF_NETLINK:*:NETLINK_ROUTE",
                "AF_NETLINK:SOCK_RAW:NETLINK_AUDIT",
                false,
            ),
            ("*x*y*", "axbyc", true),
            ("*x*y*", "aybxc", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}

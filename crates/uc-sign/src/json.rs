//! JSON with bounds when it is read, and with Go's spelling when it is written.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};
use uc_model::Problem;

/// How many characters of the parser's words are kept.
const MAX_QUOTE: usize = 300;

/// Reads a list of at most `N` elements; a longer one is an error before it takes memory.
pub(crate) fn bounded_list<'de, D, T, const N: usize>(source: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T, const N: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for List<T, N> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {N} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() == N {
                    return Err(A::Error::custom(format_args!(
                        "more than {N} elements in a list"
                    )));
                }
                list.push(element);
            }
            Ok(list)
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
    }

    source.deserialize_any(List::<T, N>(PhantomData))
}

/// Reads a map of at most `N` entries, none twice; `null` is an empty one, as Go writes it.
pub(crate) fn bounded_map<'de, D, T, const N: usize>(
    source: D,
) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Map<T, const N: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Map<T, N> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a map of at most {N} entries")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(key) = entries.next_key::<String>()? {
                if map.len() == N {
                    return Err(A::Error::custom(format_args!(
                        "more than {N} entries in a map"
                    )));
                }
                if map.insert(key, entries.next_value()?).is_some() {
                    return Err(A::Error::custom("a key stands twice in a map"));
                }
            }
            Ok(map)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
    }

    source.deserialize_any(Map::<T, N>(PhantomData))
}

/// The problem of a document that cannot be read.
pub(crate) fn malformed(what: &str, error: &serde_json::Error) -> Problem {
    // The parser's words can quote the document, which may be one string of many megabytes.
    let found: String = error.to_string().chars().take(MAX_QUOTE).collect();
    let problem = Problem::invalid(what).found(found);
    if error.is_eof() {
        problem.remedy("it ends too early: fetch it again")
    } else {
        problem
    }
}

/// Appends a JSON string as Go's encoder writes it: `<`, `>`, `&` and the line separators are escaped too.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Appends a map of strings, sorted by key.
pub(crate) fn write_map(map: &BTreeMap<String, String>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        write_string(value, out);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_spelt_as_go_spells_them() {
        let mut out = Vec::new();
        write_string("a\"\\\n\u{1}<b>&\u{2028}é\u{7f}", &mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(
            text,
            "\"a\\\"\\\\\\n\\u0001\\u003cb\\u003e\\u0026\\u2028é\u{7f}\""
        );
        let back: String = serde_json::from_str(&text).expect("JSON");
        assert_eq!(back, "a\"\\\n\u{1}<b>&\u{2028}é\u{7f}");
    }

    #[test]
    fn lists_and_maps_are_bounded() {
        #[derive(Debug, Deserialize)]
        struct Sample {
            #[serde(default, deserialize_with = "bounded_list::<_, _, 2>")]
            list: Vec<u8>,
            #[serde(default, deserialize_with = "bounded_map::<_, _, 1>")]
            map: BTreeMap<String, u8>,
        }
        let read = |text: &str| serde_json::from_str::<Sample>(text);
        let sample = read(r#"{"list":[1,2],"map":{"a":1}}"#).expect("within bounds");
        assert_eq!((sample.list.len(), sample.map.len()), (2, 1));
        assert!(read(r#"{"list":null,"map":null}"#).is_ok());
        for wrong in [
            r#"{"list":[1,2,3]}"#,
            r#"{"map":{"a":1,"b":2}}"#,
            r#"{"map":{"a":1,"a":1}}"#,
            r#"{"list":{}}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}

//! Prometheus' JSON: series, warnings, errors.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use uc_model::{Problem, Result};

use super::Series;
use crate::http::Reply;

/// Warnings kept of an answer.
pub(super) const WARNINGS: usize = 100;
/// Characters kept of a foreign text.
const TEXT_CHARACTERS: usize = 500;
/// Bytes looked at of a body that is told as it is.
const TEXT_BYTES: usize = 256 << 10;

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) series: Vec<Series>,
    pub(super) warnings: Vec<String>,
}

/// Reads an answer, whatever its status.
pub(super) fn read(reply: &Reply, max_series: usize) -> Result<Answered> {
    let parsed = parse(&reply.body, max_series);
    let envelope = match parsed {
        Ok(envelope) => envelope,
        Err(_) if reply.status != 200 => return Err(status_problem(reply, &text_of(reply))),
        Err(error) => return Err(parse_problem(&error, reply, max_series)),
    };
    let message = envelope.error.as_deref().map(|text| told(reply, text));
    if envelope.status == "success" && reply.status == 200 {
        let warnings = envelope.warnings.iter().map(|one| told(reply, one));
        let mut warnings: Vec<String> = warnings.collect();
        warnings.truncate(WARNINGS);
        let series = envelope
            .data
            .ok_or_else(|| Problem::unavailable("the answer holds no data"))?
            .result;
        return Ok(Answered { series, warnings });
    }
    if reply.status != 200 {
        let text = message.unwrap_or_else(|| text_of(reply));
        return Err(status_problem(reply, &text));
    }
    let message = message.unwrap_or_else(|| "no reason".into());
    let kind = envelope.error_type.unwrap_or_default();
    Err(match kind.as_str() {
        "bad_data" => not_understood(&message),
        "execution" => not_evaluated(&message),
        _ => Problem::unavailable("Prometheus answers with an error")
            .found(format!("{}: {message}", told(reply, &kind))),
    })
}

fn parse(body: &[u8], max_series: usize) -> Result<Envelope, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let envelope = EnvelopeSeed { max_series }.deserialize(&mut json)?;
    json.end()?;
    Ok(envelope)
}

fn parse_problem(error: &serde_json::Error, reply: &Reply, max_series: usize) -> Problem {
    if error.is_eof() {
        return Problem::unavailable("the answer breaks off")
            .found(format!("{} bytes", reply.body.len()))
            .remedy("ask again; if it goes on, look for a proxy between that cuts answers");
    }
    // An error of ours, which comes through the JSON reader.
    if error.to_string().starts_with(TOO_MANY_SERIES) {
        return too_many_series(max_series);
    }
    Problem::unavailable("the answer is not what Prometheus answers")
        .limit("the JSON of its HTTP API, version 1")
        .found(told(reply, &error.to_string()))
        .remedy("check that the address is that of a Prometheus, and whether a path before /api is missing")
}

fn status_problem(reply: &Reply, text: &str) -> Problem {
    let found = format!("status {}: {text}", reply.status);
    match reply.status {
        300..=399 => Problem::invalid("the server redirects elsewhere")
            .found(match &reply.location {
                Some(location) => format!("to {}", told(reply, location)),
                None => format!("status {}", reply.status),
            })
            .remedy("use the address it redirects to"),
        400 => not_understood(text),
        401 | 403 => Problem::refused("Prometheus wants other credentials")
            .found(found)
            .remedy("name a file with a bearer token that may read metrics"),
        404 => Problem::not_found("there is no Prometheus at this address")
            .found(found)
            .remedy("check the address, and whether a path before /api is missing"),
        422 => not_evaluated(text),
        429 => Problem::unavailable("Prometheus is asked too often")
            .found(found)
            .remedy("wait a while"),
        503 => Problem::unavailable("Prometheus gave up or is not ready")
            .found(found)
            .remedy("wait a while, narrow the selector or shorten the range"),
        _ => Problem::unavailable("Prometheus fails").found(found),
    }
}

fn not_understood(message: &str) -> Problem {
    Problem::invalid("Prometheus does not understand the query").found(message)
}

fn not_evaluated(message: &str) -> Problem {
    Problem::refused("Prometheus does not evaluate the query")
        .found(message)
        .remedy("narrow the selector, shorten the range or lengthen the step")
}

pub(super) fn too_many_series(max_series: usize) -> Problem {
    Problem::refused("the answer holds too many series")
        .limit(format!("{max_series} series"))
        .remedy("narrow the selector")
}

/// The start of a body that is not Prometheus' JSON, for a person.
fn text_of(reply: &Reply) -> String {
    let start = &reply.body[..reply.body.len().min(TEXT_BYTES)];
    match told(reply, String::from_utf8_lossy(start).trim()) {
        text if text.is_empty() => "no text".into(),
        text => text,
    }
}

/// A text of the server's, for a person: the token goes before the text is cut, so that no part of it stays.
fn told(reply: &Reply, text: &str) -> String {
    shortened(&reply.without_token(text))
}

/// Foreign text without control characters, cut.
fn shortened(text: &str) -> String {
    let mut characters = text.chars();
    let mut short: String = characters
        .by_ref()
        .take(TEXT_CHARACTERS)
        .map(|one| if one.is_control() { ' ' } else { one })
        .collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

#[derive(Default)]
struct Envelope {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    warnings: Vec<String>,
}

struct Data {
    result: Vec<Series>,
}

const TOO_MANY_SERIES: &str = "too many series";

struct EnvelopeSeed {
    max_series: usize,
}

impl<'de> DeserializeSeed<'de> for EnvelopeSeed {
    type Value = Envelope;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Envelope, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer with a status")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "status" => envelope.status = map.next_value()?,
                "errorType" => envelope.error_type = map.next_value()?,
                "error" => envelope.error = map.next_value()?,
                "warnings" => {
                    envelope.warnings = map.next_value::<Option<_>>()?.unwrap_or_default();
                }
                "data" => {
                    envelope.data = map.next_value_seed(DataSeed {
                        max_series: self.max_series,
                    })?;
                }
                _ => map.next_value::<serde::de::IgnoredAny>().map(drop)?,
            }
        }
        if envelope.status.is_empty() {
            return Err(A::Error::missing_field("status"));
        }
        Ok(envelope)
    }
}

struct DataSeed {
    max_series: usize,
}

impl<'de> DeserializeSeed<'de> for DataSeed {
    type Value = Option<Data>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Data>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DataSeed {
    type Value = Option<Data>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data with a result")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Data>, E> {
        Ok(None)
    }

    /// Errors of other programs may bring any data along.
    fn visit_str<E: Error>(self, _: &str) -> Result<Option<Data>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Data>, A::Error> {
        let mut data = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "result" {
                let result = map.next_value_seed(ResultSeed {
                    max_series: self.max_series,
                })?;
                data = Some(Data { result });
            } else {
                map.next_value::<serde::de::IgnoredAny>()?;
            }
        }
        Ok(data)
    }
}

/// The series of a vector or a matrix, or a scalar, which is no series but a pair.
struct ResultSeed {
    max_series: usize,
}

impl<'de> DeserializeSeed<'de> for ResultSeed {
    type Value = Vec<Series>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Series>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ResultSeed {
    type Value = Vec<Series>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series, or a time and a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Series>, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = items.next_element::<Element>()? {
            match element {
                Element::Series(_) if all.len() >= self.max_series => {
                    return Err(A::Error::custom(TOO_MANY_SERIES));
                }
                Element::Series(series) => all.push(series),
                Element::Number(t_s) if all.is_empty() => {
                    let value: Value = items
                        .next_element()?
                        .ok_or_else(|| A::Error::custom("a time without a value"))?;
                    return Ok(vec![Series {
                        labels: BTreeMap::new(),
                        points: vec![(t_s, value.0)],
                    }]);
                }
                Element::Number(_) => return Err(A::Error::custom("a time among series")),
            }
        }
        Ok(all)
    }
}

enum Element {
    Series(Series),
    Number(f64),
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementVisitor;

        impl<'de> Visitor<'de> for ElementVisitor {
            type Value = Element;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a series or a time")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Element, E> {
                Ok(Element::Number(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Element, E> {
                Ok(Element::Number(value as f64))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Element, E> {
                Ok(Element::Number(value as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Element, A::Error> {
                let item = Item::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                let mut points: Vec<(f64, f64)> = item
                    .values
                    .into_iter()
                    .chain(item.value)
                    .map(|(t_s, value)| (t_s, value.0))
                    .collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                Ok(Element::Series(Series {
                    labels: item.metric,
                    points,
                }))
            }
        }

        deserializer.deserialize_any(ElementVisitor)
    }
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// Of a range.
    #[serde(default)]
    values: Vec<(f64, Value)>,
    /// At one time.
    value: Option<(f64, Value)>,
}

/// A value, which Prometheus writes as a text, since JSON has no infinities.
struct Value(f64);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl Visitor<'_> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number as text, as \"1.5\", \"NaN\" or \"+Inf\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
                text.parse()
                    .map(Value)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uc_model::ProblemKind;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            url: "http://p/api/v1/query".into(),
            status,
            body: body.as_bytes().to_vec(),
            location: None,
            token: Some("s3cret".into()),
        }
    }

    fn series(body: &str) -> Vec<Series> {
        read(&reply(200, body), 3).expect("is an answer").series
    }

    fn problem(status: u16, body: &str) -> Problem {
        read(&reply(status, body), 3).expect_err("is no answer")
    }

    #[test]
    fn vectors_matrices_and_scalars_are_read() {
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},
            "values":[[1.5,"1"],[3,"+Inf"],[4,"-Inf"],[5,"NaN"]],"histograms":[[1,{}]]}]},"infos":["x"]}"#;
        let found = series(matrix);
        assert_eq!(found[0].labels["a"], "b");
        assert_eq!(
            found[0].points[..3],
            [(1.5, 1.0), (3.0, f64::INFINITY), (4.0, f64::NEG_INFINITY)]
        );
        assert!(found[0].points[3].1.is_nan());
        let vector = r#"{"data":{"result":[{"metric":{},"value":[2,"7e3"]}],"resultType":"vector"},"status":"success"}"#;
        assert_eq!(series(vector)[0].points, [(2.0, 7000.0)]);
        let scalar =
            r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000.123,"5"]}}"#;
        assert_eq!(series(scalar)[0].points, [(1_700_000_000.123, 5.0)]);
        assert!(series(r#"{"status":"success","data":{"result":[]},"warnings":null}"#).is_empty());
    }

    #[test]
    fn warnings_are_kept_without_control_characters() {
        let body =
            r#"{"status":"success","data":{"result":[]},"warnings":["store\u001b down","b"]}"#;
        let answered = read(&reply(200, body), 3).expect("is an answer");
        assert_eq!(answered.warnings, ["store  down", "b"]);
    }

    #[test]
    fn errors_are_told_by_kind_and_never_hold_the_token() {
        for (status, body, kind) in [
            (
                200,
                r#"{"status":"error","errorType":"bad_data","error":"s3cret"}"#,
                ProblemKind::Invalid,
            ),
            (
                200,
                r#"{"status":"error","errorType":"timeout","error":"s3cret"}"#,
                ProblemKind::Unavailable,
            ),
            (
                400,
                r#"{"status":"error","errorType":"bad_data","error":"s3cret"}"#,
                ProblemKind::Invalid,
            ),
            (401, "Bearer s3cret is wrong", ProblemKind::Refused),
            (403, "", ProblemKind::Refused),
            (404, "<html>s3cret</html>", ProblemKind::NotFound),
            (
                422,
                r#"{"status":"error","errorType":"execution","error":"too many samples"}"#,
                ProblemKind::Refused,
            ),
            (500, "oops s3cret", ProblemKind::Unavailable),
            (503, "", ProblemKind::Unavailable),
            (302, "", ProblemKind::Invalid),
            (200, r#"{"status":"success"}"#, ProblemKind::Unavailable),
            (200, r#"{"status":"succ"#, ProblemKind::Unavailable),
            (200, "", ProblemKind::Unavailable),
            (200, "<html>s3cret</html>", ProblemKind::Unavailable),
            (
                200,
                r#"{"status":"success","data":{"result":[{"value":[1,"s3cret"]}]}}"#,
                ProblemKind::Unavailable,
            ),
            (
                200,
                r#"{"status":"success","data":{"result":[{"value":[1,2]}]}}"#,
                ProblemKind::Unavailable,
            ),
            (
                200,
                r#"{"status":"success","data":{"result":[1]}}"#,
                ProblemKind::Unavailable,
            ),
            (
                200,
                r#"{"status":"success","data":{"result":[{},{},{},{}]}}"#,
                ProblemKind::Refused,
            ),
        ] {
            let problem = problem(status, body);
            assert_eq!(problem.kind(), kind, "{status} {body}: {problem}");
            let told = format!("{problem:?}");
            assert!(!told.contains("s3cret"), "{told}");
        }
        assert!(
            problem(500, "oops")
                .to_string()
                .contains("status 500: oops")
        );
        assert!(
            problem(200, r#"{"status":"suc"#)
                .to_string()
                .contains("breaks off")
        );
    }

    #[test]
    fn nesting_has_a_bound() {
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        problem(200, &deep);
    }

    proptest! {
        #[test]
        fn no_body_panics(
            body in prop_oneof![
                ".*",
                r#"\{"status":"success","data":\{"result":[\[\]{}"0-9.,a-z:-]{0,60}"#,
            ],
            status in prop_oneof![Just(200_u16), 300..600_u16],
        ) {
            let _ = read(&reply(status, &body), 3);
        }
    }
}

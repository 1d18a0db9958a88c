//! The `WWW-Authenticate` header (RFC 9110, section 11.6.1).

/// How a registry wants to be convinced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from a token server.
    Bearer(Bearer),
}

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Bearer {
    pub(super) realm: String,
    pub(super) service: Option<String>,
    pub(super) scope: Option<String>,
}

/// The first challenge that we can answer, tokens before passwords.
pub(super) fn choose(headers: &[String]) -> Option<Challenge> {
    let parsed: Vec<Challenge> = headers.iter().filter_map(|header| parse(header)).collect();
    parsed
        .iter()
        .find(|challenge| matches!(challenge, Challenge::Bearer(_)))
        .or_else(|| parsed.first())
        .cloned()
}

/// One challenge a header, as registries send them.
fn parse(header: &str) -> Option<Challenge> {
    let (scheme, parameters) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut bearer = Bearer::default();
    let mut rest = parameters.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = value(after)?;
        match name.trim().to_ascii_lowercase().as_str() {
            "realm" => bearer.realm = value,
            "service" => bearer.service = Some(value),
            "scope" => bearer.scope = Some(value),
            _ => {}
        }
        rest = after
            .trim_start()
            .strip_prefix(',')
            .unwrap_or("")
            .trim_start();
    }
    (!bearer.realm.is_empty()).then_some(Challenge::Bearer(bearer))
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.trim_start().strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_challenges_are_read_with_commas_in_quotes() {
        let header = r#"Bearer realm="https://auth.example/token",service="registry", scope="repository:a/b:pull,push",error=x"#;
        let expected = Bearer {
            realm: "https://auth.example/token".into(),
            service: Some("registry".into()),
            scope: Some("repository:a/b:pull,push".into()),
        };
        let headers = ["Basic realm=\"x\"".to_owned(), header.to_owned()];
        assert_eq!(choose(&headers), Some(Challenge::Bearer(expected)));
        assert_eq!(choose(&["basic".into()]), Some(Challenge::Basic));
    }

    #[test]
    fn what_cannot_be_answered_is_no_challenge() {
        for header in [
            "Negotiate",
            "Bearer",
            "Bearer realm=\"unterminated",
            "Bearer service=\"x\"",
            "",
        ] {
            assert_eq!(choose(&[header.into()]), None, "{header:?}");
        }
    }
}

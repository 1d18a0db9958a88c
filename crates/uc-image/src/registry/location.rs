//! Where a registry sends us: the `Location` of redirects and uploads, and the `Link` to a next page.

use uc_model::{Problem, Result};
use ureq::http::Uri;

/// The longest address that is followed, in bytes; signed addresses of object stores have one or two thousand.
const ADDRESS_BYTES: usize = 16 << 10;

/// Scheme, host and port of an address, in lower case: who gets to see what is sent there.
pub(super) fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let authority = uri.authority()?.as_str().to_ascii_lowercase();
    let default = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default).unwrap_or(&authority);
    Some(format!("{scheme}://{authority}"))
}

/// The address that `location` means in an answer of `base`: RFC 3986 without dot segments, which no registry sends.
///
/// # Errors
/// Unavailable for what is no address, is of another scheme than HTTP, holds a login, or leads from HTTPS to plain HTTP.
pub(super) fn resolve(base: &str, location: &str) -> Result<String> {
    let bad = || {
        Problem::unavailable("the registry sent an address that cannot be followed")
            .at(without_query(base))
            .limit("an http or https address without a login")
            .found(
                without_query(location)
                    .chars()
                    .take(200)
                    .collect::<String>(),
            )
    };
    if location.is_empty() || location.len() > ADDRESS_BYTES {
        return Err(bad());
    }
    let start: Uri = base.parse().map_err(|_| bad())?;
    let (Some(scheme), Some(authority)) = (start.scheme_str(), start.authority()) else {
        return Err(bad());
    };
    let location = location.split('#').next().unwrap_or_default();
    let lower = location.to_ascii_lowercase();
    let absolute = if lower.starts_with("http://") || lower.starts_with("https://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", start.path())
    } else if location
        .split(['/', '?'])
        .next()
        .unwrap_or_default()
        .contains(':')
    {
        return Err(bad());
    } else {
        let directory = start
            .path()
            .rfind('/')
            .map_or("/", |at| &start.path()[..=at]);
        format!("{scheme}://{authority}{directory}{location}")
    };
    let parsed: Uri = absolute.parse().map_err(|_| bad())?;
    if scheme == "https" && parsed.scheme_str() != Some("https") {
        return Err(
            Problem::unavailable("the registry leads from HTTPS to plain HTTP")
                .at(without_query(base))
                .found(without_query(&absolute)),
        );
    }
    match (parsed.authority(), parsed.host()) {
        (Some(authority), Some(host)) if !host.is_empty() && !authority.as_str().contains('@') => {
            Ok(absolute)
        }
        _ => Err(bad()),
    }
}

/// Adds a query parameter whose value needs no escaping beyond the colon of a digest.
pub(super) fn with_query(url: &str, name: &str, value: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{name}={}", value.replace(':', "%3A"))
}

/// An address for messages: what follows the question mark may be a signature that grants access.
pub(super) fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// The target of `<…>; rel="next"` in `Link` headers (RFC 8288).
pub(super) fn next_page(headers: &[String]) -> Option<String> {
    headers.iter().find_map(|header| {
        let mut rest = header.as_str();
        while let Some((_, after)) = rest.split_once('<') {
            let (target, after) = after.split_once('>')?;
            let end = after.find('<').unwrap_or(after.len());
            let is_next = after[..end]
                .split([';', ','])
                .filter_map(|parameter| parameter.trim().split_once('='))
                .any(|(name, value)| {
                    name.trim().eq_ignore_ascii_case("rel")
                        && value
                            .trim()
                            .trim_matches('"')
                            .split_ascii_whitespace()
                            .any(|relation| relation.eq_ignore_ascii_case("next"))
                });
            if is_next {
                return Some(target.trim().to_owned());
            }
            rest = &after[end..];
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_resolved_against_the_request() {
        let base = "https://r.example:5000/v2/a/blobs/uploads/?mount=x";
        for (location, expected) in [
            ("https://other/x?y=1", "https://other/x?y=1"),
            ("HTTPS://other/x#part", "HTTPS://other/x"),
            ("//other/x", "https://other/x"),
            ("/v2/b?c=d", "https://r.example:5000/v2/b?c=d"),
            (
                "?state=1",
                "https://r.example:5000/v2/a/blobs/uploads/?state=1",
            ),
            ("uuid-1", "https://r.example:5000/v2/a/blobs/uploads/uuid-1"),
        ] {
            assert_eq!(resolve(base, location).expect(location), expected);
        }
        for wrong in [
            "",
            "ftp://x/y",
            "javascript:alert(1)",
            "https://me:pw@host/",
            "http://",
            "//",
            "http://other/x",
        ] {
            let problem = resolve(base, wrong).expect_err(wrong);
            assert_eq!(problem.kind(), uc_model::ProblemKind::Unavailable);
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(
            origin("https://R.example:443/x"),
            origin("https://r.example/y?z")
        );
        for other in [
            "http://r.example/",
            "https://r.example:444/",
            "https://s.example/",
        ] {
            assert_ne!(origin("https://r.example/"), origin(other));
        }
        assert_eq!(origin("nonsense"), None);
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        let link = |text: &str| next_page(&[text.to_owned()]);
        assert_eq!(link("</v2/x?n=2>; rel=\"next\""), Some("/v2/x?n=2".into()));
        assert_eq!(
            link("<a>; rel=prev, <b>; title=x; REL=\"last next\""),
            Some("b".into())
        );
        assert_eq!(link("<a>; rel=prev"), None);
        assert_eq!(link("<a"), None);
        assert_eq!(next_page(&[]), None);
    }

    #[test]
    fn messages_hold_no_query() {
        let problem = resolve("https://r/", "ftp://x/?sig=secret").expect_err("no http");
        assert!(!format!("{problem}").contains("secret"));
        assert_eq!(
            with_query("/u?a=b", "digest", "sha256:1"),
            "/u?a=b&digest=sha256%3A1"
        );
    }

    proptest! {
        #[test]
        fn nothing_a_registry_sends_panics(location in "\\PC{0,40}", link in "[<>;,=\" a-z]{0,40}") {
            if let Ok(url) = resolve("https://r.example/v2/", &location) {
                prop_assert!(origin(&url).is_some());
            }
            let _ = next_page(&[link]);
        }
    }
}

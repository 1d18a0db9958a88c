//! What a Java archive's file name tells: `artifact-version.jar`.

/// A file name, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileName {
    /// Without its ending.
    bare: String,
    /// What stands before the version.
    pub(super) stem: String,
    pub(super) version: Option<String>,
}

impl FileName {
    /// The version begins at the first hyphen or underscore that a digit follows.
    pub(super) fn parse(name: &str) -> Self {
        let bare = name.rsplit_once('.').map_or(name, |(bare, _)| bare);
        let split = bare.char_indices().find(|(at, c)| {
            let next = bare.get(at + 1..).and_then(|rest| rest.chars().next());
            matches!(c, '-' | '_') && next.is_some_and(|next| next.is_ascii_digit())
        });
        match split {
            Some((at, _)) if at > 0 => Self {
                bare: bare.to_owned(),
                stem: bare.get(..at).unwrap_or_default().to_owned(),
                version: bare.get(at + 1..).map(str::to_owned),
            },
            _ => Self {
                bare: bare.to_owned(),
                stem: bare.to_owned(),
                version: None,
            },
        }
    }

    /// Whether the file is called after an artifact, as `spring-core-x.jar` is after `spring-core`.
    pub(super) fn is_of(&self, artifact: &str) -> bool {
        // Distributions rename `a_1.0_spec` to `a-1.0-spec`.
        let hyphens = |text: &str| text.replace('_', "-");
        hyphens(&self.bare)
            .strip_prefix(&hyphens(artifact))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        for (name, stem, version) in [
            ("guava-31.1-jre.jar", "guava", Some("31.1-jre")),
            ("log4j-1.2-api-2.19.0.jar", "log4j", Some("1.2-api-2.19.0")),
            ("app.war", "app", None),
            ("-1.jar", "-1", None),
            ("noending", "noending", None),
        ] {
            let found = FileName::parse(name);
            assert_eq!(
                (found.stem.as_str(), found.version.as_deref()),
                (stem, version)
            );
        }
        assert!(FileName::parse("netty-all-4.jar").is_of("netty"));
        assert!(FileName::parse("log4j-1.2-api-2.19.0.jar").is_of("log4j-1.2-api"));
        assert!(!FileName::parse("nettyx-4.jar").is_of("netty"));
    }
}

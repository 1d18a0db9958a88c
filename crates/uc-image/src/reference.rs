//! Registry references: `host[:port]/path[:tag][@digest]`.

use std::{fmt, str::FromStr};

use uc_model::{Digest, Problem, Result};

/// The host that people mean by `docker.io`.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_REGISTRY: &str = "registry-1.docker.io";
/// Distribution specification: a tag is at most 128 characters; docker bounds the whole name at 255.
const TAG_CHARACTERS: usize = 128;
const NAME_CHARACTERS: usize = 255;

/// An image in a registry, fully qualified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry as written: `docker.io`, `localhost:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` where neither tag nor digest is given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest the image must have.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What a manifest request names: the digest, else the tag.
    pub fn manifest_name(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// The host that serves it: Docker Hub's registry has another name than its images.
    pub fn registry_host(&self) -> &str {
        match self.host.as_str() {
            DOCKER_HUB | "index.docker.io" => DOCKER_HUB_REGISTRY,
            host => host,
        }
    }

    /// Whether the registry is on this machine, where plain HTTP is usual and safe.
    pub fn is_loopback(&self) -> bool {
        let host = host_without_port(&self.host);
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

fn host_without_port(host: &str) -> &str {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or(bracketed);
    }
    host.split(':').next().unwrap_or(host)
}

impl FromStr for Reference {
    type Err = Problem;

    /// Reads a reference, qualifying it as docker does: `busybox` is `docker.io/library/busybox:latest`.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Problem::invalid("not an image reference")
                .limit(why)
                .found(format!("{text:?}"))
                .remedy("write it as host/path:tag, for example docker.io/library/busybox:1.36")
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let last_slash = name.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = match name[last_slash..].rfind(':') {
            Some(at) => (&name[..last_slash + at], Some(&name[last_slash + at + 1..])),
            None => (name, None),
        };
        let (host, repository) = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest.to_owned())
            }
            _ => (DOCKER_HUB, path.to_owned()),
        };
        let hub = host == DOCKER_HUB || host == "index.docker.io";
        let repository = if hub && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository
        };
        if !is_host(host) {
            return Err(bad("a registry host such as registry.example.org:5000"));
        }
        if repository.len() + host.len() > NAME_CHARACTERS
            || !repository.split('/').all(is_component)
        {
            return Err(bad(
                "a path of lower-case letters, digits and single separators (. _ __ -)",
            ));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad(
                "a tag of at most 128 letters, digits, '_', '.' and '-'",
            ));
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        };
        let host = if hub { DOCKER_HUB } else { host };
        Ok(Self {
            host: host.to_owned(),
            repository,
            tag,
            digest,
        })
    }
}

fn is_host(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return address.parse::<std::net::Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

/// Distribution specification: runs of `[a-z0-9]` joined by `.`, `_`, `__` or dashes.
fn is_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && component.split(alphanumeric).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

pub(crate) fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag.len() <= TAG_CHARACTERS
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_qualified_as_docker_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("me/tool:1", "docker.io/me/tool:1"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
            (&format!("a.b/c@{digest}"), &format!("a.b/c@{digest}")),
            (&format!("a.b/c:t@{digest}"), &format!("a.b/c:t@{digest}")),
        ] {
            assert_eq!(text.parse::<Reference>().expect(text).to_string(), full);
        }
        let hub: Reference = "busybox".parse().expect("valid");
        assert_eq!(hub.registry_host(), "registry-1.docker.io");
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for wrong in [
            "",
            "UPPER",
            "a//b",
            "a/../b",
            "-a",
            "a:",
            "a:b:c/d:",
            "a@sha256:12",
            "h..x/a",
            "a.b:99999/c",
            "a___b",
            "x/y:tag with space",
            "a._b",
            "host.x/",
            "[::1/a",
        ] {
            assert!(
                wrong.parse::<Reference>().is_err(),
                "{wrong:?} must not parse"
            );
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, loopback) in [
            ("localhost:5000/a", true),
            ("127.0.0.9:80/a", true),
            ("[::1]:5000/a", true),
            ("localhost.example.org/a", false),
            ("128.0.0.1:80/a", false),
        ] {
            assert_eq!(
                text.parse::<Reference>().expect(text).is_loopback(),
                loopback,
                "{text}"
            );
        }
    }
}

//! The forms of an image: an OCI layout, an archive of one, a WebAssembly file, a registry reference.
//!
//! The same forms hold for `image:` in a Pod and on the command line.

use std::path::{Path, PathBuf};

use uc_model::{
    Digest, Problem, Result,
    workload::{ImageSource, PullPolicy},
};

use crate::name::shortened;

/// Longest reference that is read, in bytes.
const MAX_REFERENCE: usize = 4096;
/// Longest repository name with its registry (distribution specification), in bytes.
const MAX_REPOSITORY: usize = 255;

/// Reads an image in any of its forms; relative paths are joined to `base` as they are.
///
/// # Errors
/// [`uc_model::ProblemKind::Invalid`] naming the part that is wrong.
pub fn parse_image(text: &str, base: &Path) -> Result<ImageSource> {
    if text.is_empty() || text.len() > MAX_REFERENCE || text.contains(['\0', '\n']) {
        return Err(Problem::invalid("not an image")
            .limit("1 to 4096 characters on one line")
            .found(shortened(text)));
    }
    if let Some(rest) = text.strip_prefix("oci:") {
        let (directory, tag) = path_and_tag(rest, base)?;
        return Ok(ImageSource::OciLayout { directory, tag });
    }
    if let Some(rest) = text.strip_prefix("oci-archive:") {
        let (file, tag) = path_and_tag(rest, base)?;
        return Ok(ImageSource::OciArchive { file, tag });
    }
    if text.ends_with(".wasm") || text.ends_with(".wat") {
        let file = joined(base, text);
        return Ok(ImageSource::WasmFile { file });
    }
    if text.starts_with(['/', '.']) {
        return Err(Problem::invalid("a path that is no image")
            .limit("a .wasm or .wat file, oci:DIR[:TAG], oci-archive:FILE[:TAG], or a registry reference")
            .found(shortened(text))
            .remedy("put oci: before the directory of an image layout, oci-archive: before its tar file"));
    }
    let reference = normalise(text)?;
    Ok(ImageSource::Registry { reference })
}

/// Kubernetes' default of `imagePullPolicy`: always for `latest`, else when the image is not there.
pub(crate) fn default_pull_policy(image: &ImageSource) -> PullPolicy {
    match image {
        ImageSource::Registry { reference } if reference.ends_with(":latest") => PullPolicy::Always,
        _ => PullPolicy::IfNotPresent,
    }
}

/// Splits at the first colon, as skopeo does, since tags may hold colons and slashes.
fn path_and_tag(text: &str, base: &Path) -> Result<(PathBuf, Option<String>)> {
    let (path, tag) = match text.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (text, None),
    };
    if path.is_empty() {
        return Err(Problem::invalid("the image names no path")
            .limit("oci:DIR[:TAG] or oci-archive:FILE[:TAG]")
            .found(shortened(text)));
    }
    if let Some(tag) = tag {
        let separator = |byte: u8| b"-._:@/+".contains(&byte);
        let fits = (1..=255).contains(&tag.len())
            && tag
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || separator(byte))
            && !tag.bytes().next().is_some_and(separator);
        if !fits {
            return Err(Problem::invalid("not a tag of an image layout")
                .limit("1 to 255 of letters, digits and -._:@/+, beginning with a letter or digit")
                .found(shortened(tag)));
        }
    }
    Ok((joined(base, path), tag.map(str::to_owned)))
}

/// Normalises a registry reference as docker does: `busybox` is `docker.io/library/busybox:latest`.
fn normalise(text: &str) -> Result<String> {
    let bad = |what: &str, limit: &str, found: &str| {
        Problem::invalid(format!("not a registry reference: {what}"))
            .limit(limit)
            .found(shortened(found))
    };
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest.parse::<Digest>()?)),
        None => (text, None),
    };
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        let limit = "1 to 128 of letters, digits, _, . and -, not beginning with . or -";
        return Err(bad("the tag is malformed", limit, tag));
    }
    let (host, path) = match name.split_once('/') {
        Some((first, rest)) if is_host_like(first) => (first, rest.to_owned()),
        Some(_) => ("docker.io", name.to_owned()),
        None => ("docker.io", format!("library/{name}")),
    };
    let (host, path) = match host {
        "docker.io" | "index.docker.io" if !path.contains('/') => {
            ("docker.io", format!("library/{path}"))
        }
        "index.docker.io" => ("docker.io", path),
        other => (other, path),
    };
    if !is_host(host) {
        let limit = "a host name or address with an optional port";
        return Err(bad("the registry is malformed", limit, host));
    }
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(
            bad("the repository is malformed", "lower-case letters", &path)
                .remedy(format!("write {}", path.to_ascii_lowercase())),
        );
    }
    if !path.split('/').all(is_component) || host.len() + 1 + path.len() > MAX_REPOSITORY {
        let limit = "parts of a-z and 0-9, joined by ., _, __ or -, 255 characters in all";
        return Err(bad("the repository is malformed", limit, &path));
    }
    Ok(match (tag, digest) {
        (Some(tag), Some(digest)) => format!("{host}/{path}:{tag}@{digest}"),
        (Some(tag), None) => format!("{host}/{path}:{tag}"),
        (None, Some(digest)) => format!("{host}/{path}@{digest}"),
        (None, None) => format!("{host}/{path}:latest"),
    })
}

/// Whether docker takes the first part of a name for a registry.
fn is_host_like(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.chars().any(|c| c.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else {
            return false;
        };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        return after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text
            .bytes()
            .all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// A path component: alphanumeric runs joined by one dot, one or two underscores, or any number of hyphens.
fn is_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().copied().is_some_and(alphanumeric)
        && bytes.last().copied().is_some_and(alphanumeric);
    ends && bytes
        .split(|byte| alphanumeric(*byte))
        .all(|joint| matches!(joint, b"" | b"." | b"_" | b"__") || joint.iter().all(|b| *b == b'-'))
}

/// A path below the manifest's directory, without the `.` that `./name` brings along.
fn joined(base: &Path, path: &str) -> PathBuf {
    base.join(path).components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String> {
        parse_image(text, Path::new("/base")).map(|image| format!("{image}"))
    }

    #[test]
    fn forms_are_told_apart() {
        let hex = "a".repeat(64);
        for (text, normal) in [
            ("oci:./layout:v1", "oci:/base/layout:v1"),
            ("oci:/abs/layout", "oci:/abs/layout"),
            (
                "oci:l:docker.io/library/busybox:1.36",
                "oci:/base/l:docker.io/library/busybox:1.36",
            ),
            ("oci-archive:img.tar", "oci-archive:/base/img.tar"),
            ("./x.wat", "/base/x.wat"),
            ("/abs/x.wasm", "/abs/x.wasm"),
            ("dir/x.wasm", "/base/dir/x.wasm"),
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/a/b", "docker.io/a/b:latest"),
            ("user/app", "docker.io/user/app:latest"),
            ("quay.io/a/b_c/d--e:1", "quay.io/a/b_c/d--e:1"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:x", "localhost:5000/app:x"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            (
                &format!("busybox@sha256:{hex}"),
                &format!("docker.io/library/busybox@sha256:{hex}"),
            ),
            (
                &format!("r.io/a:1@sha256:{hex}"),
                &format!("r.io/a:1@sha256:{hex}"),
            ),
        ] {
            assert_eq!(parse(text).expect(text), normal);
        }
    }

    #[test]
    fn malformed_images_are_refused() {
        for text in [
            "",
            "oci:",
            "oci::tag",
            "oci:dir:",
            "oci:dir:-x",
            "./dir",
            "/abs",
            "a//b",
            "a/",
            "Busybox",
            "busybox:",
            "busybox:-x",
            "a b",
            "a@sha256:zz",
            "ex_ample.com/a",
            "host:99999/a",
            "a___b",
            "a..b/c/d",
            "[::zz]/a",
            "a.",
            "http://x.io/a",
            "busybox\n",
        ] {
            assert!(parse(text).is_err(), "{text:?} must not parse");
        }
        let problem = parse("user/App").expect_err("upper case");
        assert_eq!(problem.remedy_text(), Some("write user/app"));
    }

    #[test]
    fn only_latest_is_always_pulled() {
        for (text, policy) in [
            ("busybox", PullPolicy::Always),
            ("busybox:latest", PullPolicy::Always),
            ("busybox:1", PullPolicy::IfNotPresent),
            ("oci:x:latest", PullPolicy::IfNotPresent),
        ] {
            let image = parse_image(text, Path::new("")).expect(text);
            assert_eq!(default_pull_policy(&image), policy, "{text}");
        }
    }
}

//! What signatures are called in a registry: media types, annotations, tags, and the configuration beside a layer.

use uc_model::Digest;

/// The layer of a `.sig` image: a simple signing payload.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The layer of an `.att` image: a DSSE envelope.
pub const DSSE_ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Artifact type and layer of a bundle, as we and cosign 3 write it.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The other spellings of a bundle.
pub const OLDER_BUNDLES: [&str; 3] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
];
/// The configuration of the older referrer form, whose layers are those of a `.sig` image.
pub const ARTIFACT_SIGNATURE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The payload of every envelope here.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// On a layer: the base64 signature of a `.sig` layer, and empty on an `.att` layer.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// On a `.sig` layer: the certificate of a keyless signature.
pub const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";
/// On a `.sig` layer: the certificates above that one.
pub const CHAIN_ANNOTATION: &str = "dev.sigstore.cosign/chain";
/// On a `.sig` layer: the entry of a transparency log.
pub const LOG_ANNOTATION: &str = "dev.sigstore.cosign/bundle";
/// On a `.sig` layer: a time stamp of a third party.
pub const TIMESTAMP_ANNOTATION: &str = "dev.sigstore.cosign/rfc3161timestamp";
/// On an `.att` layer: what the statement says, in words that no one signed.
pub const PREDICATE_TYPE_ANNOTATION: &str = "predicateType";
/// On the manifest of a bundle: always `dsse-envelope`.
pub const BUNDLE_CONTENT_ANNOTATION: &str = "dev.sigstore.bundle.content";
/// On the manifest of a bundle: the type of its statement.
pub const BUNDLE_PREDICATE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";

/// The tag under which a registry holds what belongs to a digest: `sha256-<hex>`, with `.sig` or `.att` behind it, or
/// nothing for the index of referrers.
pub fn tag(digest: &Digest, suffix: &str) -> String {
    format!("{}-{}{suffix}", digest.algorithm(), digest.hex())
}

/// The image configuration that cosign writes beside `.sig` and `.att` layers; always the same for the same layers.
pub fn image_config(layers: &[Digest]) -> Vec<u8> {
    let history = vec![r#"{"created":"0001-01-01T00:00:00Z"}"#; layers.len()].join(",");
    let digests: Vec<String> = layers.iter().map(|layer| format!("\"{layer}\"")).collect();
    format!(
        concat!(
            r#"{{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{}],"os":"","#,
            r#""rootfs":{{"type":"layers","diff_ids":[{}]}},"config":{{}}}}"#
        ),
        history,
        digests.join(",")
    )
    .into_bytes()
}

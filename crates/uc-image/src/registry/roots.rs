//! The certificate authorities that registries are checked against: the system's, so that a company's own are honoured.

use std::{env, fs, path::PathBuf, sync::Arc};

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// Where distributions keep the bundle: Debian and Alpine, Fedora, openSUSE.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];
/// The largest bundle, in bytes.
const BUNDLE_BYTES: u64 = 16 << 20;

/// The authorities of `SSL_CERT_FILE`, else of the system, else Mozilla's as of this build.
pub(super) fn load() -> RootCerts {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let candidates = named.into_iter().chain(BUNDLES.iter().map(PathBuf::from));
    for path in candidates {
        let small = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= BUNDLE_BYTES);
        let Some(pem) = small.then(|| fs::read(&path).ok()).flatten() else {
            continue;
        };
        let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if !certificates.is_empty() {
            return RootCerts::Specific(Arc::new(certificates));
        }
    }
    RootCerts::WebPki
}

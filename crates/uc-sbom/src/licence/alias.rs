//! Names that mean exactly one SPDX licence, by who uses them.

/// Whose short names a statement uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SPDX identifiers and well-known full names.
    Spdx,
    /// Machine-readable copyright files (DEP-5).
    Debian,
    /// RPM spec files from before Fedora took up SPDX.
    Fedora,
}

/// Full names and addresses, in lower case.
const EVERYWHERE: &[(&str, &str)] = &[
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license v2.0", "Apache-2.0"),
    ("apache license version 2.0", "Apache-2.0"),
    ("apache license, version 2.0", "Apache-2.0"),
    ("apache software license 2.0", "Apache-2.0"),
    ("apache software license, version 2.0", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("the apache license, version 2.0", "Apache-2.0"),
    ("the apache software license, version 2.0", "Apache-2.0"),
    ("http://www.apache.org/licenses/license-2.0", "Apache-2.0"),
    (
        "http://www.apache.org/licenses/license-2.0.html",
        "Apache-2.0",
    ),
    (
        "http://www.apache.org/licenses/license-2.0.txt",
        "Apache-2.0",
    ),
    ("https://www.apache.org/licenses/license-2.0", "Apache-2.0"),
    (
        "https://www.apache.org/licenses/license-2.0.html",
        "Apache-2.0",
    ),
    (
        "https://www.apache.org/licenses/license-2.0.txt",
        "Apache-2.0",
    ),
    ("2-clause bsd license", "BSD-2-Clause"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 2-clause license", "BSD-2-Clause"),
    ("bsd-2", "BSD-2-Clause"),
    ("simplified bsd license", "BSD-2-Clause"),
    ("3-clause bsd license", "BSD-3-Clause"),
    ("bsd 3 clause", "BSD-3-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd 3-clause license", "BSD-3-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("modified bsd license", "BSD-3-Clause"),
    ("new bsd license", "BSD-3-Clause"),
    ("the 3-clause bsd license", "BSD-3-Clause"),
    ("boost software license 1.0 (bsl-1.0)", "BSL-1.0"),
    ("cc0", "CC0-1.0"),
    ("cc0 1.0 universal", "CC0-1.0"),
    ("eclipse public license 1.0", "EPL-1.0"),
    ("eclipse public license - v 1.0", "EPL-1.0"),
    ("eclipse public license 2.0", "EPL-2.0"),
    ("eclipse public license - v 2.0", "EPL-2.0"),
    ("eclipse public license v2.0", "EPL-2.0"),
    ("isc license", "ISC"),
    ("isc license (iscl)", "ISC"),
    ("mit license", "MIT"),
    ("the mit license", "MIT"),
    ("the mit license (mit)", "MIT"),
    ("mit no attribution license (mit-0)", "MIT-0"),
    ("mozilla public license 1.1 (mpl 1.1)", "MPL-1.1"),
    ("mozilla public license 2.0", "MPL-2.0"),
    ("mozilla public license 2.0 (mpl 2.0)", "MPL-2.0"),
    ("mozilla public license, version 2.0", "MPL-2.0"),
    ("mpl 2.0", "MPL-2.0"),
    ("mpl-2", "MPL-2.0"),
    ("mplv2.0", "MPL-2.0"),
    ("the unlicense", "Unlicense"),
    ("the unlicense (unlicense)", "Unlicense"),
    ("gnu affero general public license v3", "AGPL-3.0-only"),
    (
        "gnu affero general public license v3 or later (agplv3+)",
        "AGPL-3.0-or-later",
    ),
    ("gnu general public license v2 (gplv2)", "GPL-2.0-only"),
    (
        "gnu general public license v2 or later (gplv2+)",
        "GPL-2.0-or-later",
    ),
    ("gnu general public license v3 (gplv3)", "GPL-3.0-only"),
    (
        "gnu general public license v3 or later (gplv3+)",
        "GPL-3.0-or-later",
    ),
    (
        "gnu lesser general public license v2 or later (lgplv2+)",
        "LGPL-2.0-or-later",
    ),
    (
        "gnu lesser general public license v3 (lgplv3)",
        "LGPL-3.0-only",
    ),
    (
        "gnu lesser general public license v3 or later (lgplv3+)",
        "LGPL-3.0-or-later",
    ),
    ("psf", "PSF-2.0"),
    ("python software foundation license", "PSF-2.0"),
    ("zope public license", "ZPL-2.1"),
    ("zpl 2.1", "ZPL-2.1"),
    ("zlib/libpng license", "Zlib"),
];

/// Short names of DEP-5 that are not SPDX identifiers, in lower case.
const DEBIAN: &[(&str, &str)] = &[
    ("agpl-3", "AGPL-3.0-only"),
    ("agpl-3+", "AGPL-3.0-or-later"),
    ("apache-2", "Apache-2.0"),
    ("artistic-2", "Artistic-2.0"),
    ("bsd-2-clauses", "BSD-2-Clause"),
    ("bsd-3-clauses", "BSD-3-Clause"),
    ("cc0-1", "CC0-1.0"),
    ("expat", "MIT"),
    ("gfdl-1.1", "GFDL-1.1-only"),
    ("gfdl-1.1+", "GFDL-1.1-or-later"),
    ("gfdl-1.2", "GFDL-1.2-only"),
    ("gfdl-1.2+", "GFDL-1.2-or-later"),
    ("gfdl-1.3", "GFDL-1.3-only"),
    ("gfdl-1.3+", "GFDL-1.3-or-later"),
    ("gpl-1", "GPL-1.0-only"),
    ("gpl-1+", "GPL-1.0-or-later"),
    ("gpl-2", "GPL-2.0-only"),
    ("gpl-2.0", "GPL-2.0-only"),
    ("gpl-2+", "GPL-2.0-or-later"),
    ("gpl-2.0+", "GPL-2.0-or-later"),
    ("gpl-3", "GPL-3.0-only"),
    ("gpl-3.0", "GPL-3.0-only"),
    ("gpl-3+", "GPL-3.0-or-later"),
    ("gpl-3.0+", "GPL-3.0-or-later"),
    ("lgpl-2", "LGPL-2.0-only"),
    ("lgpl-2+", "LGPL-2.0-or-later"),
    ("lgpl-2.1", "LGPL-2.1-only"),
    ("lgpl-2.1+", "LGPL-2.1-or-later"),
    ("lgpl-3", "LGPL-3.0-only"),
    ("lgpl-3.0", "LGPL-3.0-only"),
    ("lgpl-3+", "LGPL-3.0-or-later"),
    ("lgpl-3.0+", "LGPL-3.0-or-later"),
    ("zlib", "Zlib"),
];

/// Short names of Fedora that are not SPDX identifiers, in lower case.
const FEDORA: &[(&str, &str)] = &[
    ("agplv3", "AGPL-3.0-only"),
    ("agplv3+", "AGPL-3.0-or-later"),
    ("asl 1.1", "Apache-1.1"),
    ("asl 2.0", "Apache-2.0"),
    ("artistic 2.0", "Artistic-2.0"),
    ("boost", "BSL-1.0"),
    ("epl", "EPL-1.0"),
    ("gpl+", "GPL-1.0-or-later"),
    ("gplv2", "GPL-2.0-only"),
    ("gplv2+", "GPL-2.0-or-later"),
    ("gplv3", "GPL-3.0-only"),
    ("gplv3+", "GPL-3.0-or-later"),
    ("lgplv2", "LGPL-2.0-only"),
    ("lgplv2+", "LGPL-2.0-or-later"),
    ("lgplv2.1", "LGPL-2.1-only"),
    ("lgplv2.1+", "LGPL-2.1-or-later"),
    ("lgplv3", "LGPL-3.0-only"),
    ("lgplv3+", "LGPL-3.0-or-later"),
    ("mplv1.1", "MPL-1.1"),
    ("mplv2.0", "MPL-2.0"),
    ("openldap", "OLDAP-2.8"),
    ("zlib", "Zlib"),
];

/// The SPDX identifier of one name, if the name is exact.
pub(super) fn identifier(name: &str, dialect: Dialect) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let own = match dialect {
        Dialect::Spdx => &[][..],
        Dialect::Debian => DEBIAN,
        Dialect::Fedora => FEDORA,
    };
    // A distribution's `GPL-2.0` is the SPDX list's deprecated name as well: the dialect's meaning is the exact one.
    own.iter()
        .chain(EVERYWHERE)
        .find(|(alias, _)| *alias == lower)
        .map(|(_, id)| *id)
        .or_else(|| listed(name))
}

/// An identifier of the SPDX list, in whatever case.
fn listed(name: &str) -> Option<&'static str> {
    if let Some(id) = spdx::license_id(name) {
        return Some(id.name);
    }
    spdx::identifiers::LICENSES
        .iter()
        .find(|licence| licence.name.eq_ignore_ascii_case(name))
        .map(|licence| licence.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_leads_to_a_listed_licence() {
        for (alias, id) in EVERYWHERE.iter().chain(DEBIAN).chain(FEDORA) {
            assert!(spdx::license_id(id).is_some(), "{id}");
            assert_eq!(*alias, alias.to_ascii_lowercase());
        }
    }
}

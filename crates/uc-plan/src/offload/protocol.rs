//! Red line 8.1: a protocol off the allow-list fails to load (M8.2).

use serde::Serialize;
use uc_model::{Problem, Result};

/// The longest name of a protocol, in bytes.
pub const MAX_NAME: usize = 128;

/// The most protocols that are asked about or allowed.
pub const MAX_PROTOCOLS: usize = 4096;

/// How alike two names must be for one to be offered as what was meant, 0 to 1.
const ALIKE: f64 = 0.75;

/// What the red line says about one protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The protocol.
    pub protocol: String,
    /// Whether a bitstream for it may load, as far as this line goes; its signature is another matter.
    pub allowed: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// Fails unless the protocol is on the allow-list; upper and lower case are the same, and an empty list allows nothing.
///
/// # Errors
/// Refused if the protocol is off the list; invalid for a name that is empty or longer than [`MAX_NAME`].
pub fn require_allowed(protocol: &str, allow_list: &[String]) -> Result<()> {
    let name = protocol.trim();
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Problem::invalid("this is no name of a protocol")
            .at("protocol")
            .limit(format!("1 to {MAX_NAME} bytes"))
            .found(format!("{} bytes", name.len())));
    }
    let wanted = name.to_lowercase();
    let mut nearest: Option<(f64, &str)> = None;
    for allowed in allow_list.iter().map(|allowed| allowed.trim()) {
        if allowed.to_lowercase() == wanted {
            return Ok(());
        }
        // The measure is quadratic in the lengths, so only names of a bounded length are compared.
        if allowed.len() <= MAX_NAME {
            let alike = strsim::jaro_winkler(&allowed.to_lowercase(), &wanted);
            if alike >= ALIKE && nearest.is_none_or(|(best, _)| alike > best) {
                nearest = Some((alike, allowed));
            }
        }
    }
    let remedy = match nearest {
        Some((_, allowed)) => format!("\"{allowed}\" is allowed; was it meant?"),
        None => "have the provider add the protocol to its allow-list".into(),
    };
    Err(
        Problem::refused("red line 8.1: a protocol off the allow-list does not load")
            .at("protocol")
            .limit(if allow_list.is_empty() {
                "an allow-list that names it; the list is empty"
            } else {
                "a protocol on the allow-list"
            })
            .found(format!("\"{name}\""))
            .remedy(remedy),
    )
}

/// The red line's verdicts, one a protocol.
///
/// # Errors
/// Invalid for more than [`MAX_PROTOCOLS`] on either list and for what is no name of a protocol.
pub fn verdicts(protocols: &[String], allow_list: &[String]) -> Result<Vec<Verdict>> {
    for (place, length) in [
        ("protocols", protocols.len()),
        ("allow-list", allow_list.len()),
    ] {
        if length > MAX_PROTOCOLS {
            return Err(Problem::invalid("the list of protocols is too long")
                .at(place)
                .limit(format!("at most {MAX_PROTOCOLS}"))
                .found(length));
        }
    }
    protocols
        .iter()
        .map(|protocol| {
            let reason = match require_allowed(protocol, allow_list) {
                Ok(()) => None,
                Err(problem) if problem.kind() == uc_model::ProblemKind::Refused => {
                    Some(problem.to_string())
                }
                Err(problem) => return Err(problem),
            };
            Ok(Verdict {
                protocol: protocol.trim().into(),
                allowed: reason.is_none(),
                reason,
            })
        })
        .collect()
}

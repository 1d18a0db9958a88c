//! Evidence with its wrapping taken off: what it claims about which digest, still unverified.

use uc_model::Digest;

use crate::{
    bundle::{Bundle, Content},
    dsse::{self, Envelope},
    evidence::{Evidence, Form, Subject},
    oci,
    simple_signing::Payload,
    statement::Statement,
    trust::Budget,
    verdict::{Reason, Refusal},
};

/// A signed statement, from an envelope or a bundle.
pub(crate) struct OpenedStatement {
    pub(crate) envelope: Envelope,
    pub(crate) statement: Statement,
    pub(crate) hint: Option<String>,
    pub(crate) not_consulted: Vec<&'static str>,
    /// Whether it was in a bundle, where a statement of the right type is a signature. In an `.att` layer it is none.
    pub(crate) is_bundle: bool,
}

/// A simple signing payload with its signature.
pub(crate) struct OpenedPayload {
    pub(crate) payload: Payload,
    pub(crate) signature: Vec<u8>,
    pub(crate) not_consulted: Vec<&'static str>,
}

/// Takes a bundle or an envelope apart.
pub(crate) fn statement(
    piece: &Evidence<'_>,
    budget: &mut Budget,
) -> Result<OpenedStatement, Refusal> {
    budget.take_bytes(piece.bytes.len())?;
    let (envelope, hint, not_consulted) = if piece.form() == Form::Bundle {
        let bundle = Bundle::parse(piece.bytes)?;
        let Content::Envelope(envelope) = bundle.content else {
            return Err(Refusal::new(
                Reason::Unsupported,
                "a bundle over a bare message signs a file, not an image: its signature does not say what it is for",
            ));
        };
        (envelope, bundle.hint, bundle.not_consulted)
    } else {
        (Envelope::parse(piece.bytes)?, None, Vec::new())
    };
    if envelope.payload_type() != oci::IN_TOTO {
        return Err(Refusal::new(
            Reason::Unsupported,
            format!(
                "the envelope holds no in-toto statement but {}",
                envelope.payload_type()
            ),
        ));
    }
    Ok(OpenedStatement {
        statement: Statement::parse(envelope.payload())?,
        envelope,
        hint,
        not_consulted,
        is_bundle: piece.form() == Form::Bundle,
    })
}

/// Takes a simple signing layer apart.
pub(crate) fn payload(piece: &Evidence<'_>, budget: &mut Budget) -> Result<OpenedPayload, Refusal> {
    budget.take_bytes(piece.bytes.len())?;
    let payload = Payload::parse(piece.bytes)?;
    let annotation = |name: &str| piece.annotations.get(name);
    let signature = annotation(oci::SIGNATURE_ANNOTATION).ok_or_else(|| {
        Refusal::new(
            Reason::Malformed,
            format!("the layer has no annotation {}", oci::SIGNATURE_ANNOTATION),
        )
    })?;
    let not_consulted = [
        (oci::CERTIFICATE_ANNOTATION, "certificate"),
        (oci::LOG_ANNOTATION, "transparency log entry"),
        (oci::TIMESTAMP_ANNOTATION, "time stamp"),
    ];
    Ok(OpenedPayload {
        payload,
        signature: dsse::signature_bytes(signature),
        not_consulted: not_consulted
            .into_iter()
            .filter_map(|(name, words)| annotation(name).map(|_| words))
            .collect(),
    })
}

/// Which of the digests that count a statement is about.
pub(crate) fn bound_digest(statement: &Statement, subject: &Subject) -> Result<Digest, Refusal> {
    match statement.subject_among(subject.digests()) {
        Some((_, digest)) => Ok(digest.clone()),
        None => {
            let first = statement.subjects.first();
            let named = first.and_then(|subject| subject.digest.iter().next());
            Err(wrong_digest(&named.map_or_else(
                || "no digest".to_owned(),
                |(algorithm, hex)| {
                    let hex: String = hex.chars().take(128).collect();
                    format!("{algorithm}:{hex}")
                },
            )))
        }
    }
}

pub(crate) fn wrong_digest(found: &str) -> Refusal {
    Refusal::new(Reason::WrongDigest, format!("it was made for {found}"))
}

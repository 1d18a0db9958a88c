//! Answers a registry's challenge with what the user's docker configuration holds.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use uc_model::{Problem, Result};

use super::{
    challenge::{Bearer, Challenge, choose},
    credentials::{Credential, Credentials},
    http::{Http, Response},
};
use crate::{bounds, reference::Reference, spec};

/// The value of an `Authorization` header. It is a secret: `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Authorization(String);

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization(…)")
    }
}

impl Authorization {
    pub(super) fn header(&self) -> &str {
        &self.0
    }

    /// Convinces a registry that has answered with these challenges.
    pub(super) fn answer(
        challenges: &[String],
        http: &Http<'_>,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Result<Self> {
        let credential = credentials.find(reference.host())?;
        match (choose(challenges), credential) {
            (Some(Challenge::Bearer(bearer)), credential) => {
                token(&bearer, http, reference, credential.as_ref())
            }
            (Some(Challenge::Basic), Some(Credential::Password { user, password })) => {
                Ok(basic(&user, &password))
            }
            (Some(Challenge::Basic), _) => Err(Problem::refused("the registry wants a login")
                .at(reference)
                .remedy(format!(
                    "run docker login {0} or skopeo login {0}",
                    reference.host()
                ))),
            (None, _) => Err(Problem::unavailable(
                "the registry asks for an authentication we do not have",
            )
            .at(reference)
            .limit("Bearer or Basic")
            .found(challenges.join("; ").chars().take(200).collect::<String>())),
        }
    }
}

fn basic(user: &str, password: &str) -> Authorization {
    Authorization(format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{password}"))
    ))
}

/// Fetches a token (docker's token authentication specification; OAuth 2 for identity tokens).
fn token(
    bearer: &Bearer,
    http: &Http<'_>,
    reference: &Reference,
    credential: Option<&Credential>,
) -> Result<Authorization> {
    let scope = bearer
        .scope
        .clone()
        .unwrap_or_else(|| format!("repository:{}:pull", reference.repository()));
    let agent = http.agent();
    let sent = match credential {
        Some(Credential::IdentityToken(identity)) => {
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", identity.as_str()),
                ("client_id", "undercurrent"),
                ("scope", scope.as_str()),
            ];
            form.extend(
                bearer
                    .service
                    .as_deref()
                    .map(|service| ("service", service)),
            );
            agent.post(&bearer.realm).send_form(form)
        }
        other => {
            let mut request = agent.get(&bearer.realm).query("scope", &scope);
            if let Some(service) = &bearer.service {
                request = request.query("service", service);
            }
            if let Some(Credential::Password { user, password }) = other {
                request = request.header("Authorization", basic(user, password).header());
            }
            request.call()
        }
    };
    let response = Response::new(sent.map_err(|error| http.unreachable(error).at(&bearer.realm))?);
    let bytes = response
        .success(&bearer.realm)?
        .bytes(bounds::TOKEN_BYTES)?;
    let answer: serde_json::Value =
        spec::parse(&bytes, "answer of the token server", bounds::TOKEN_BYTES)?;
    let token = ["token", "access_token"]
        .iter()
        .find_map(|name| answer[name].as_str())
        .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| Problem::unavailable("the token server sent no token").at(&bearer.realm))?;
    Ok(Authorization(format!("Bearer {token}")))
}

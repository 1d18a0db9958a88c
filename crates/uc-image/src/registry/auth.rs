//! Answers a registry's challenge with what the user's docker configuration holds.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use uc_model::{Problem, Result};
use ureq::config::RedirectAuthHeaders;

use super::{
    challenge::{Bearer, Challenge, choose},
    credentials::{Credential, Credentials},
    http::Http,
    response::Response,
};
use crate::{bounds, spec};

/// Redirects of a token server.
const REDIRECTS: u32 = 5;
/// The most repositories that one token is asked for.
const REPOSITORIES: usize = 8;

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
}

/// What a client has to be allowed beyond reading its own repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    push: bool,
    pull_from: BTreeSet<String>,
}

/// What a registry has been convinced with so far, and how to ask for more.
#[derive(Default)]
pub(super) struct Authority {
    current: Option<Arc<Authorization>>,
    wanted: Wanted,
    /// What was wanted when the token was fetched.
    covered: Wanted,
    /// Where the token came from.
    bearer: Option<Bearer>,
}

impl Authority {
    pub(super) fn current(&self) -> Option<Arc<Authorization>> {
        self.current.clone()
    }

    pub(super) fn want_push(&mut self) {
        self.wanted.push = true;
    }

    pub(super) fn want_pull_from(&mut self, repository: &str) {
        if self.wanted.pull_from.len() < REPOSITORIES {
            self.wanted.pull_from.insert(repository.to_owned());
        }
    }

    /// Replaces a token that was fetched for less than is wanted now. Without one, the registry will say what it needs.
    pub(super) fn widen(&mut self, http: &Http<'_>, credentials: &Credentials) -> Result<()> {
        match self.bearer.clone() {
            Some(bearer) if self.covered != self.wanted => self.fetch(bearer, http, credentials),
            _ => Ok(()),
        }
    }

    /// Convinces a registry that has answered with these challenges.
    pub(super) fn answer(
        &mut self,
        challenges: &[String],
        http: &Http<'_>,
        credentials: &Credentials,
    ) -> Result<()> {
        let reference = http.reference();
        match choose(challenges) {
            Some(Challenge::Bearer(bearer)) => self.fetch(bearer, http, credentials),
            Some(Challenge::Basic) => {
                let Some(Credential::Password { user, password }) =
                    credentials.find(reference.host())?
                else {
                    return Err(Problem::refused("the registry wants a login")
                        .at(reference)
                        .remedy(format!(
                            "run docker login {0} or skopeo login {0}",
                            reference.host()
                        )));
                };
                self.current = Some(Arc::new(basic(&user, &password)));
                Ok(())
            }
            None => Err(Problem::unavailable(
                "the registry asks for an authentication we do not have",
            )
            .at(reference)
            .limit("Bearer or Basic")
            .found(challenges.join("; ").chars().take(200).collect::<String>())),
        }
    }

    fn fetch(&mut self, bearer: Bearer, http: &Http<'_>, credentials: &Credentials) -> Result<()> {
        let credential = credentials.find(http.reference().host())?;
        let scopes = scopes(
            bearer.scope.as_deref(),
            http.reference().repository(),
            &self.wanted,
        );
        let token = token(&bearer, &scopes, http, credential.as_ref())?;
        self.current = Some(Arc::new(token));
        self.covered = self.wanted.clone();
        self.bearer = Some(bearer);
        Ok(())
    }
}

/// What to ask a token server for: what the registry named, and what we are about to need.
fn scopes(challenged: Option<&str>, repository: &str, wanted: &Wanted) -> Vec<String> {
    let own = format!("repository:{repository}:");
    let mut actions = BTreeSet::from(["pull"]);
    if wanted.push {
        actions.insert("push");
    }
    let mut scopes = Vec::new();
    for scope in challenged
        .unwrap_or_default()
        .split_ascii_whitespace()
        .take(REPOSITORIES)
    {
        match scope.strip_prefix(&own) {
            Some(more) => actions.extend(more.split(',').filter(|action| !action.is_empty())),
            None => scopes.push(scope.to_owned()),
        }
    }
    let actions: Vec<&str> = actions.into_iter().collect();
    scopes.insert(0, own + &actions.join(","));
    for other in &wanted.pull_from {
        let scope = format!("repository:{other}:pull");
        if other != repository && !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes
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
    scopes: &[String],
    http: &Http<'_>,
    credential: Option<&Credential>,
) -> Result<Authorization> {
    let agent = http.agent();
    let sent = match credential {
        Some(Credential::IdentityToken(identity)) => {
            let scope = scopes.join(" ");
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
            let mut request = agent
                .get(&bearer.realm)
                .query_pairs(scopes.iter().map(|scope| ("scope", scope.as_str())));
            if let Some(service) = &bearer.service {
                request = request.query("service", service);
            }
            if let Some(Credential::Password { user, password }) = other {
                request = request.header("Authorization", basic(user, password).header());
            }
            request
                .config()
                .max_redirects(REDIRECTS)
                .redirect_auth_headers(RedirectAuthHeaders::SameHost)
                .build()
                .call()
        }
    };
    let response = sent.map_err(|error| http.unreachable(error).at(&bearer.realm))?;
    let bytes = Response::new(response, &bearer.realm)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_covers_what_is_about_to_be_needed() {
        let nothing = Wanted::default();
        let copy = Wanted {
            push: true,
            pull_from: BTreeSet::from(["team/app".to_owned(), "team/base".to_owned()]),
        };
        let own = "repository:team/app";
        for (challenged, wanted, expected) in [
            (None, &nothing, vec![format!("{own}:pull")]),
            (
                Some("repository:team/app:pull"),
                &copy,
                vec![
                    format!("{own}:pull,push"),
                    "repository:team/base:pull".into(),
                ],
            ),
            (
                Some("repository:team/app:pull,delete repository:team/base:pull"),
                &copy,
                vec![
                    format!("{own}:delete,pull,push"),
                    "repository:team/base:pull".into(),
                ],
            ),
            (
                Some("registry:catalog:*"),
                &nothing,
                vec![format!("{own}:pull"), "registry:catalog:*".into()],
            ),
        ] {
            assert_eq!(scopes(challenged, "team/app", wanted), expected);
        }
    }
}

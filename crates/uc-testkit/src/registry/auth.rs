//! Who gets in: nobody has to log in, everybody with each request, or with a token for what they are about to do.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Shared, locked,
    wire::{Answer, Seen, parameters},
};

/// Who gets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Nobody has to log in.
    Nobody,
    /// Name and password with each request, as `Basic`, in base64 of `name:password`.
    Basic(String),
    /// A token from `/token`, which is given for the same. Without it, tokens allow to read where `anonymous` is set.
    Token {
        /// Base64 of `name:password`.
        login: String,
        /// Whether everybody may read.
        anonymous: bool,
    },
}

/// The tokens given so far, with what they allow.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<String, BTreeSet<(String, String)>>);

impl Shared {
    /// `None` where a request may go on; it needs `actions` in `repository`.
    pub(super) fn refusal(
        &self,
        request: &Seen,
        repository: &str,
        actions: &[&str],
    ) -> Option<Answer> {
        let sent = request.header("Authorization").unwrap_or_default();
        match &self.options.login {
            Login::Nobody => None,
            Login::Basic(login) => (sent != format!("Basic {login}")).then(|| {
                Answer::error(401, "UNAUTHORIZED")
                    .header("WWW-Authenticate", "Basic realm=\"test\"")
            }),
            Login::Token { .. } => {
                let allowed = actions
                    .iter()
                    .all(|action| self.allows(request, repository, action));
                let scope = if repository.is_empty() {
                    String::new()
                } else {
                    format!(",scope=\"repository:{repository}:{}\"", actions.join(","))
                };
                (!allowed).then(|| {
                    let challenge = format!(
                        "Bearer realm=\"http://127.0.0.1:{}/token\",service=\"test\"{scope}",
                        self.port
                    );
                    Answer::error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge)
                })
            }
        }
    }

    /// Whether the request's token allows an action. Whatever is no token system allows it.
    pub(super) fn allows(&self, request: &Seen, repository: &str, action: &str) -> bool {
        if !matches!(self.options.login, Login::Token { .. }) {
            return true;
        }
        let token = request
            .header("Authorization")
            .and_then(|sent| sent.strip_prefix("Bearer "))
            .unwrap_or_default();
        let tokens = locked(&self.tokens);
        let Some(granted) = tokens.0.get(token) else {
            return false;
        };
        repository.is_empty() || granted.contains(&(repository.to_owned(), action.to_owned()))
    }

    /// The token server.
    pub(super) fn give_token(&self, request: &Seen, body: &[u8]) -> Answer {
        let Login::Token { login, anonymous } = &self.options.login else {
            return Answer::status(404);
        };
        let form = String::from_utf8_lossy(body);
        let sent = request.header("Authorization");
        let knows = sent == Some(format!("Basic {login}").as_str())
            || parameters(&form, "refresh_token").first() == Some(login);
        if !knows && (sent.is_some() || !anonymous) {
            return Answer::error(401, "UNAUTHORIZED");
        }
        let scopes = [request.parameters("scope"), parameters(&form, "scope")].concat();
        let mut granted = BTreeSet::new();
        for scope in scopes.iter().flat_map(|scopes| scopes.split(' ')) {
            let mut parts = scope.splitn(3, ':').skip(1);
            let (Some(repository), Some(actions)) = (parts.next(), parts.next()) else {
                continue;
            };
            for action in actions.split(',') {
                if knows || action == "pull" {
                    granted.insert((repository.to_owned(), action.to_owned()));
                }
            }
        }
        let mut tokens = locked(&self.tokens);
        let token = format!("token-{}", tokens.0.len());
        tokens.0.insert(token.clone(), granted);
        Answer::ok(serde_json::json!({ "token": token }).to_string())
            .header("Content-Type", "application/json")
    }
}

//! `uc key`: keys to sign with.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use uc_model::{Problem, Result};
use uc_sign::{KeyAlgorithm, PrivateKey, PublicKey};

use crate::{
    cli::Format,
    key_file::{Sealed, write_new},
    password::PasswordArgs,
    printing,
};

/// Make keys to sign with, and show them
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    Generate(GenerateArgs),
    Public(PublicArgs),
}

/// Make a key pair: a private key locked with a password, as cosign has it, and the public key
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc key generate                          uc.key and uc.pub, the password asked for
  uc key generate --output keys/release    keys/release.key and keys/release.pub
  UC_KEY_PASSWORD=... uc key generate --algorithm ed25519")]
struct GenerateArgs {
    /// The names of the two files, without their endings .key and .pub
    #[arg(long, short, default_value = "uc", value_name = "NAME")]
    output: PathBuf,
    /// The kind of key
    #[arg(long, value_enum, default_value_t = Algorithm::P256)]
    algorithm: Algorithm,
    #[command(flatten)]
    password: PasswordArgs,
}

/// Print the public key of a private one
#[derive(Debug, Args)]
#[command(after_help = "Example:
  uc key public uc.key > uc.pub")]
struct PublicArgs {
    /// The private key
    key: PathBuf,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    /// ECDSA on P-256, which everything verifies
    P256,
    /// ECDSA on P-384
    P384,
    /// Ed25519
    Ed25519,
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::P256 => Self::EcdsaP256,
            Algorithm::P384 => Self::EcdsaP384,
            Algorithm::Ed25519 => Self::Ed25519,
        }
    }
}

/// Runs the command.
pub(crate) fn key(args: &KeyArgs, format: Format) -> Result<ExitCode> {
    match &args.command {
        KeyCommand::Generate(args) => generate(args, format)?,
        KeyCommand::Public(args) => {
            let key = Sealed::read(&args.key, &args.password)?
                .open()?
                .public_key();
            match format {
                Format::Json => printing::json(&view(&key))?,
                Format::Text => printing::result(&key.to_pem())?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn generate(args: &GenerateArgs, format: Format) -> Result<()> {
    let named = |ending: &str| {
        let mut name = args.output.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let (private_file, public_file) = (named(".key"), named(".pub"));
    for file in [&private_file, &public_file] {
        if file.exists() {
            return Err(Problem::refused(
                "the file is there already, and a key is never overwritten",
            )
            .at(file.display())
            .remedy("choose another name with --output"));
        }
    }
    let password = args.password.choose()?;
    let mut random = rand_core::UnwrapErr(getrandom::SysRng);
    let key = PrivateKey::generate(args.algorithm.into(), &mut random)?;
    let sealed = key.to_encrypted_pem(&password, &mut random)?;
    let public = key.public_key();
    write_new(&private_file, sealed.as_bytes(), true)?;
    if let Err(problem) = write_new(&public_file, public.to_pem().as_bytes(), false) {
        // A private key without its public one would be half a pair.
        let _ = std::fs::remove_file(&private_file);
        return Err(problem);
    }
    match format {
        Format::Json => {
            let mut view = view(&public);
            view["private"] = json!(private_file);
            view["public"] = json!(public_file);
            printing::json(&view)
        }
        Format::Text => printing::result(&format!(
            "private  {}\npublic   {}\nkey      {} {}\n",
            private_file.display(),
            public_file.display(),
            public.algorithm(),
            public.fingerprint()
        )),
    }
}

fn view(key: &PublicKey) -> serde_json::Value {
    json!({ "algorithm": key.algorithm(), "fingerprint": key.fingerprint(), "pem": key.to_pem() })
}

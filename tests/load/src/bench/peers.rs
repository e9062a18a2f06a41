//! Servers of other people that do the same job.
//!
//! A folder with `node/` (express + jose, fastify + fast-jwt) and `haproxy/` (`jwt_verify`), each of which
//! serves an open and a guarded route. It is copied, and what the copies need is installed there once.

use std::path::{Path, PathBuf};

use dev_idp::{Algorithm, DevIdp};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::cores::{Cores, succeeds};
use super::cost::Case;
use super::generator::Requests;
use super::services::{peer_variables, token};
use super::{CONNECTIONS, PROTECTED, PUBLIC};
use crate::Failure;
use crate::program::{self, Program};

/// A running peer.
pub(crate) struct Peer {
    name: &'static str,
    program: Program,
    address: String,
}

/// Starts every peer that this machine has the means for, and says which it has not.
pub(crate) async fn start(
    folder: &Path,
    copy: &Path,
    idp: &DevIdp,
    cores: Cores,
) -> Result<Vec<Peer>, Failure> {
    let copy = std::path::absolute(copy)?;
    std::fs::create_dir_all(&copy)?;
    let mut cp = Command::new("cp");
    cp.args(["-r", "--no-preserve=mode"]);
    if !succeeds(cp.arg(folder.join(".")).arg(&copy)).await {
        return Err(format!("{} cannot be copied", folder.display()).into());
    }
    let variables = peer_variables(idp);
    let mut peers = Vec::new();
    let haproxy = copy.join("haproxy");
    match python_for_haproxy(&haproxy).await {
        None => eprintln!("without HAProxy: it takes haproxy, and python3 with venv and pip"),
        Some(python) => {
            let mut command = cores.server("sh");
            command.arg("run.sh").current_dir(&haproxy);
            command.env("NBTHREAD", "1").env("PYTHON", python);
            peers.push(run("HAProxy", command, &variables).await?);
        }
    }
    let node = copy.join("node");
    match node_with_packages(&node).await {
        None => eprintln!("without express and fastify: they take npm"),
        Some(binary) => {
            for (name, script, cache) in [
                ("express + jose", "express-jose.mjs", "0"),
                ("fastify + fast-jwt", "fastify-jwt.mjs", "0"),
                ("fastify + fast-jwt, its cache", "fastify-jwt.mjs", "1"),
            ] {
                let mut command = cores.server(&binary);
                command.current_dir(&node).arg(script);
                command.env("NODE_ENV", "production").env("CACHE", cache);
                peers.push(run(name, command, &variables).await?);
            }
        }
    }
    Ok(peers)
}

impl Peer {
    pub(crate) fn cases(&self, idp: &DevIdp) -> Vec<Case<'_>> {
        let name = |what: &str| format!("{}, {what}", self.name);
        let open = name("open route");
        let tokens = |count: usize| {
            let tokens = (0..count).map(|_| token(idp, Algorithm::Rs256));
            Requests::with_tokens(&self.address, PROTECTED, tokens)
        };
        let case = |what: &str, requests| {
            Case::new(&name(what), CONNECTIONS, requests, vec![&self.program]).beside(&open)
        };
        vec![
            case("open route", Requests::new(&self.address, PUBLIC)),
            case("one token (RS256)", tokens(1)),
            case("512 tokens (RS256)", tokens(512)),
        ]
    }
}

/// An interpreter that can write the provider's keys as HAProxy wants them.
async fn python_for_haproxy(folder: &Path) -> Option<PathBuf> {
    if !succeeds(Command::new("haproxy").arg("-v")).await {
        return None;
    }
    let environment = folder.join("venv");
    let python = environment.join("bin/python3");
    let made = python.exists() || {
        let mut venv = Command::new("python3");
        succeeds(venv.args(["-m", "venv"]).arg(&environment)).await
    };
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "pyjwt[crypto]"]);
    (made && succeeds(&mut pip).await).then_some(python)
}

/// The interpreter that the scripts ask for, with their packages beside it.
async fn node_with_packages(folder: &Path) -> Option<PathBuf> {
    let node = folder.join("node_modules/node/bin/node");
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund"]);
    npm.current_dir(folder);
    (node.exists() || succeeds(&mut npm).await).then_some(node)
}

async fn run(
    name: &'static str,
    mut command: Command,
    variables: &[(&'static str, String)],
) -> Result<Peer, Failure> {
    let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    command.envs(variables.iter().cloned());
    command.env("PORT", port.to_string());
    let mut program = Program::spawn(command)?;
    program.discard_log()?;
    program::answers(&format!("http://{address}{PUBLIC}"))
        .await
        .map_err(|error| format!("{name}: {error}"))?;
    Ok(Peer {
        name,
        program,
        address,
    })
}

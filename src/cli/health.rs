//! `health`: asks a process on this machine whether it is well.

use super::args::HealthArguments;
use super::failure::{Failure, print};
use super::token;
use crate::http::{Question, health as ask};

pub(super) fn health(arguments: &HealthArguments) -> Result<(), Failure> {
    let token = token::find(arguments.http_token_file.as_deref())?;
    let question = if arguments.ready { Question::Ready } else { Question::Live };
    let said = ask(arguments.http, token.as_ref(), question)?;
    print(&format!("{said}\n"))
}

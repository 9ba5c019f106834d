//! `mem3d completions`: completion of the command's words in a shell.

use clap_complete::Shell;
use mem3d::{Error, Result};
use std::io::Write;

/// Prints the completion script of a shell, for example: mem3d completions bash >
/// ~/.local/share/bash-completion/completions/mem3d
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// Shell to complete in.
    shell: Shell,
}

/// Runs the subcommand.
///
/// # Errors
/// [`Error::Io`] when standard output cannot be written.
pub fn run(args: &Args, mut command: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "mem3d", &mut script);
    std::io::stdout().write_all(&script).map_err(|e| Error::io("standard output".as_ref(), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, ValueEnum};

    #[test]
    fn every_shell_completes_the_subcommands() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut crate::Cli::command(), "mem3d", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["segment", "evaluate", "save-session"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}

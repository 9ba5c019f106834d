//! The command `mem3d`: one file a subcommand, each with its `Args` and `run()`.
//!
//! Results go to standard output, everything else to standard error. Exit status: 0 done, 1 failed, 2 wrong usage.

mod batch;
mod bench;
mod common;
mod completions;
mod convert;
mod evaluate;
mod info;
mod man;
mod overview;
mod segment;
mod train;
mod volume;

use clap::{CommandFactory, Parser, Subcommand};
use common::console;
use std::process::ExitCode;

/// Interactive 3D segmentation of medical volumes, from recorded interactions.
///
/// Research software, not a medical device.
#[derive(Debug, Parser)]
#[command(
    name = "mem3d",
    version,
    arg_required_else_help = true,
    after_help = "Environment: MEM3D_MODEL, the model to use when --model names none; MEM3D_LOG, which log lines are \
                  written, e.g. mem3d=debug."
)]
struct Cli {
    #[command(flatten)]
    console: console::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Segment(segment::Args),
    Batch(batch::Args),
    Volume(volume::Args),
    Overview(overview::Args),
    Evaluate(Box<evaluate::Args>),
    Convert(convert::Args),
    Train(Box<train::Args>),
    Info(info::Args),
    Bench(bench::Args),
    Completions(completions::Args),
    Man(man::Args),
}

fn run(command: &Command) -> mem3d::Result<()> {
    match command {
        Command::Segment(args) => segment::run(args),
        Command::Batch(args) => batch::run(args),
        Command::Volume(args) => volume::run(args),
        Command::Overview(args) => overview::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Train(args) => train::run(args),
        Command::Info(args) => info::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Completions(args) => completions::run(args, Cli::command()),
        Command::Man(args) => man::run(args, Cli::command()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    console::start(&cli.console);
    console::report(|| run(&cli.command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_fit_together() {
        Cli::command().debug_assert();
    }
}

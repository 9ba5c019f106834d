//! `mem3d man`: manual pages of the command and its subcommands.

use crate::common::output::{self, say};
use mem3d::{Error, Result};
use std::path::PathBuf;

/// Writes the manual pages mem3d.1, mem3d-segment.1 and so on into a folder.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// Folder to write to, made when missing; for example ~/.local/share/man/man1.
    folder: PathBuf,
    /// Replace pages that exist.
    #[arg(long, short)]
    force: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// [`Error::Io`] when the folder or a page cannot be written; as [`output::check`] when a page exists.
pub fn run(args: &Args, command: clap::Command) -> Result<()> {
    output::folder(&args.folder)?;
    let pages = pages(command).map_err(|e| Error::io(&args.folder, e))?;
    for (name, _) in &pages {
        output::check(&args.folder.join(name), args.force, &[])?;
    }
    for (name, text) in pages {
        let path = args.folder.join(name);
        output::write_bytes(&path, &text)?;
        say!("{}", path.display());
    }
    Ok(())
}

/// File name and text of the page of the command and of every subcommand that its help lists.
fn pages(command: clap::Command) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let shown = command.get_subcommands().filter(|c| !c.is_hide_set()).cloned();
    let all: Vec<_> = std::iter::once(command.clone()).chain(shown).collect();
    all.into_iter()
        .map(|c| {
            let page = clap_mangen::Man::new(c);
            let mut text = Vec::new();
            page.render(&mut text)?;
            Ok((page.get_filename(), text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_listed_subcommand_has_a_page() {
        let pages = pages(crate::Cli::command()).unwrap();
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..2], ["mem3d.1", "mem3d-segment.1"]);
        assert!(names.contains(&"mem3d-batch.1") && !names.contains(&"mem3d-man.1"), "{names:?}");
        for (name, text) in &pages {
            let text = String::from_utf8_lossy(text);
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}: {text}");
        }
        let segment = String::from_utf8_lossy(&pages[1].1);
        assert!(segment.contains("save\\-session"), "{segment}");
    }
}
